/** The dispatcher that the mutated deliveries are sent to: who may speak, and the limits. Read by server and oracle. */
export const world = {
  apps: [{ id: '4711', host: 'github.com', secrets: ['app, new', 'app, old'], owners: ['*'] }],
  plain: [
    { host: 'github.com', secrets: ['plain'], owners: ['octo-org', 'codertocat', 'wolfy1339'] },
    { host: 'ghes.acme.example', secrets: ['enterprise'], owners: ['lineville', 'codertocat'] },
  ],
  tenants: [
    { name: 'cats', secrets: ['cats, new', 'cats, old'], user: 'Codertocat' },
    { name: 'lines', secrets: ['lines'], repositories: ['lineville/elastic-machines-testing'] },
    { name: 'silent', secrets: [], user: 'Codertocat' },
  ],
  maxJobBytes: 40_000,
  maxBodyBytes: 120_000,
} as const;

/** One request as it goes over the wire. */
export interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}
