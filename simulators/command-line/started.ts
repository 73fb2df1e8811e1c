/** A simulator that runs, as the command line tells of it. */
export interface Started {
  readonly name: string;
  /** Where it is, and what can be done with it: a word and what it says. */
  readonly facts: readonly (readonly [string, string])[];
  /** For a registration; a cloud's. */
  readonly backend?: Backend;
  /** For a registration; GitHub's. */
  readonly github?: { readonly url: string; readonly organization: string; readonly token: string };
  close(): Promise<void>;
}

interface Backend {
  readonly kind: string;
  readonly region: string;
  readonly image: string;
  /** As the provider takes them, secrets in clear. */
  readonly options: Readonly<Record<string, unknown>>;
}
