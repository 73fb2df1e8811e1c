/** What the demo needs of a backend: its entry in the registration, and how its runners reach the simulated GitHub. */
export interface DemoBackend {
  readonly kind: string;
  /** The `options` of the registration's backend. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly image: string;
  /** The simulated GitHub's address as the runners see it, when it listens on this port of the loopback. */
  runnerUrl(port: number): string;
  /** Lets runners through to that port. Called once the simulated GitHub listens. */
  open(port: number): Promise<void>;
  /** Removes what was made for the demo. */
  close(): Promise<void>;
}

/** Something on the machine is missing; the message says what to do. */
export class DemoProblem extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DemoProblem';
  }
}
