/** The real listener, intake and SQLite file in a process of their own, so that their memory can be told from the test's. */

import { createPublicListener } from '../../dispatcher/http/public.ts';
import { createIntake } from '../../dispatcher/intake/webhook.ts';
import { openSqliteLedger } from '../../dispatcher/ledger/sqlite.ts';
import { Secret } from '../../dispatcher/model/registration.ts';
import { systemClock } from '../../time/clock.ts';
import { Counts, LogLines, tenant } from './intake-fixture.ts';
import { world } from './mutation-world.ts';

const [path] = process.argv.slice(2);
if (path === undefined || process.send === undefined) throw new Error('started by mutations.test.ts alone');

const ledger = await openSqliteLedger({ path, now: systemClock.now });
const secrets = (values: readonly string[]) => values.map((value) => new Secret(value));
const endpoints = [
  ...world.apps.map((app) => ({ host: app.host, appId: app.id, secrets: secrets(app.secrets), owners: app.owners })),
  ...world.plain.map((hook) => ({
    host: hook.host,
    appId: undefined,
    secrets: secrets(hook.secrets),
    owners: hook.owners,
  })),
];
const registrations = world.tenants.map((entry) =>
  tenant(entry.name, {
    webhookSecrets: secrets(entry.secrets),
    claim:
      'user' in entry
        ? { kind: 'user', user: entry.user }
        : {
            kind: 'repositories',
            repositories: entry.repositories.map((name) => {
              const [owner = '', repository = ''] = name.split('/');
              return { owner, repository };
            }),
          },
  }),
);
const metrics = new Counts();
metrics.commit = () => {};
const log = new LogLines();
const listener = createPublicListener({
  intake: createIntake({
    ledger,
    clock: systemClock,
    // Errors are the dispatcher's own failures: the test wants none. The rest is many lines, which nobody keeps.
    log: { debug() {}, info() {}, warn() {}, error: (event, fields) => log.error(event, fields) },
    metrics,
    endpoints: () => endpoints,
    registrations: () => registrations,
    onRecorded() {},
    limits: { maxJobBytes: world.maxJobBytes, maxBodyBytes: world.maxBodyBytes },
  }),
  clock: systemClock,
  metrics,
});
const port = await listener.listen('127.0.0.1', 0);

process.on('disconnect', () => process.exit(1));
process.on('message', (message) => {
  if (message === 'memory') {
    const { rss, heapUsed, external } = process.memoryUsage();
    process.send?.({ rss, heapUsed, external });
    return;
  }
  void listener
    .close(5_000)
    .then(() => ledger.close())
    .then(() => {
      process.send?.({ errors: log.lines.map((line) => line.event) });
    });
});
process.send({ port });
