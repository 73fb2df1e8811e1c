/** A login of a registry, from the options of a backend. */
export interface Login {
  /** As written in the option: `ghcr.io`, `https://index.docker.io/v1/`. */
  readonly server: string;
  readonly username: string;
  readonly password: string;
}

/** Who pulls. Registries are named as in references: `ghcr.io`, `docker.io`, `127.0.0.1:5000`. */
export interface Puller {
  readonly logins: readonly Login[];
  /** The option that contains them, for cures. */
  readonly option: string;
  /** Who pulls there, in words, if it is an identity that we do not have; undefined for anonymous pulls and logins. */
  identityAt?(registry: string): string | undefined;
  /** Headers with a token of ours that this registry accepts directly; undefined if there is none. */
  tokenAt?(registry: string): Promise<string | undefined>;
  /** How to make a private image available: "give its login in …". */
  readonly whenPrivate: string;
}
