/** With polling off, what GitHub could not deliver is asked for again and run. */
import { join } from 'node:path';
import { expect } from 'chai';
import { fastClock, type ServiceHere, startServiceHere } from './in-process-fixture.ts';
import { eventually, type Service, startService } from './service-fixture.ts';

const workflow = `
on: push
jobs:
  work:
    runs-on: e2e
    steps: [{ run: "true" }]
`;
const job = { owner: 'acme', repository: 'web', yaml: workflow };
const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');
const JOBS = 12;
const POLL_OFF = { poll: { interval: 'off' } };

describe('deliveries that were lost', function () {
  this.timeout(240_000);

  const isDone = (github: Service['github'], count: number) => () =>
    github.jobs().length === count && github.jobs().every(({ status }) => status === 'completed') ? true : undefined;

  describe('between GitHub and a dispatcher that knows nothing of it', () => {
    let service: ServiceHere | undefined;
    afterEach(() => service?.close());

    it('run within two minutes of the look that misses them', async () => {
      const clock = fastClock(4);
      service = await startServiceHere(clock, {
        registration: ({ folder }) => {
          const options = { command: [process.execPath, RUNNER], root: join(folder, 'instances') };
          return { ...POLL_OFF, backends: [{ name: 'process', kind: 'process', options }] };
        },
        github: { clock },
      });
      const { github, output } = service;
      await eventually('the look at the start is over', 60_000, () =>
        output().includes('"poll.pass"') ? true : undefined,
      );
      // One arrives: that the webhook, whose address is not configured, leads here has been seen.
      github.pushWorkflow(job);
      await eventually('it is done', 60_000, isDone(github, 1));
      await eventually('it was seen', 60_000, () => (output().includes('"delivery-log"') ? true : undefined));
      github.faults.set({ webhooks: { lose: 1 } });
      const lostFromMs = clock.now();
      for (let n = 0; n < JOBS; n += 1) {
        github.pushWorkflow(job);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      github.faults.clear();
      const missedAtMs = await eventually('they are missed', 60_000, () =>
        output().includes('"deliveries-missed"') ? clock.now() : undefined,
      );
      await eventually('all are done', 120_000, isDone(github, JOBS + 1));
      expect(clock.now() - missedAtMs, 'two minutes').to.be.below(120_000);
      expect(missedAtMs - lostFromMs).to.be.below(600_000);
      // Once the records here have it, no more is asked.
      const queued = new Map<string, number>();
      for (const { guid, redelivery } of github.deliveries()) {
        if (redelivery) queued.set(guid, (queued.get(guid) ?? 0) + 1);
      }
      expect(Math.max(...queued.values())).to.equal(1);
    });
  });

  describe('while the dispatcher was down', () => {
    let service: Service | undefined;
    afterEach(() => service?.close());

    it('run after it is back, each once', async () => {
      const running = await startService({ registration: POLL_OFF });
      service = running;
      const { github, output } = running;
      github.pushWorkflow(job);
      await eventually('the first is done', 60_000, isDone(github, 1));
      await eventually('its log was read', 60_000, () => (output().includes('"delivery-log"') ? true : undefined));
      await running.end('SIGKILL');
      for (let n = 0; n < 8; n += 1) github.pushWorkflow(job);
      await eventually('they are lost', 60_000, () => (github.pendingDeliveries === 0 ? true : undefined));
      await running.restart();
      await eventually('all are done', 120_000, isDone(github, 9));
      await eventually('what the log has is asked for', 120_000, () =>
        github.deliveries().filter(({ redelivery }) => redelivery).length >= 8 ? true : undefined,
      );
      expect(github.executions()).to.have.length(9);
    });
  });
});
