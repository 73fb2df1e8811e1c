/** A running simulator, as the command line describes it. */
export interface Started {
  readonly name: string;
  /** Its addresses and controls: a name and a description each. */
  readonly facts: readonly (readonly [string, string])[];
  /** For a registration: a cloud's options. */
  readonly backend?: Backend;
  /** For a registration: GitHub's connection. */
  readonly github?: {
    readonly url: string;
    readonly organization: string;
    readonly token: string;
    readonly webhookSecret?: string;
  };
  close(): Promise<void>;
}

interface Backend {
  readonly kind: string;
  readonly region?: string;
  readonly image: string;
  /** As passed to the provider, with secrets in clear text. */
  readonly options: Readonly<Record<string, unknown>>;
}
