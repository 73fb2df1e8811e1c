import { expect } from 'chai';
import { exampleBody, nextGuid, sign } from '../intake/intake-fixture.ts';
import { eventually, type Service, startService } from './service-fixture.ts';

const workflow = `
on: push
jobs:
  work:
    runs-on: e2e
    steps: [{ run: "true" }]
`;

// X6
describe('a dispatcher that stood still', function () {
  this.timeout(180_000);
  let service: Service;

  afterEach(() => service.close());

  it('asks for what GitHub sent meanwhile, though it does not poll', async () => {
    service = await startService({ registration: { poll: { interval: 'off' } } });
    await eventually('the first look is over', 60_000, () =>
      service.output().includes('"poll.pass"') ? true : undefined,
    );
    service.process.kill('SIGSTOP');
    service.github.faults.set({ webhooks: { lose: 1 } });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow });
    await new Promise((resolve) => setTimeout(resolve, 14_000));
    expect(service.github.jobs().map(({ status }) => status)).to.deep.equal(['queued']);
    service.process.kill('SIGCONT');
    await eventually('the job is done', 90_000, () =>
      service.github.jobs().every(({ status }) => status === 'completed') ? true : undefined,
    );
    expect(service.output()).to.include('"event":"gap"');
  });

  it('asks for what it has turned away, though it does not poll', async () => {
    service = await startService({
      registration: { poll: { interval: 'off' } },
      dispatcher: { limits: { deliveriesPerMinute: 60 } },
    });
    await eventually('the first look is over', 60_000, () =>
      service.output().includes('"poll.pass"') ? true : undefined,
    );
    // Deliveries of other events, signed with its secret, use the endpoint's bound up.
    const body = exampleBody();
    const send = () =>
      fetch(`${service.publicUrl}/webhooks/github/e2e`, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'x-github-event': 'push',
          'x-github-delivery': nextGuid(),
          'x-hub-signature-256': sign(body, service.webhookSecret),
        },
      }).then(({ status }) => status);
    const statuses = await Promise.all(Array.from({ length: 120 }, send));
    expect(statuses).to.include(429);
    service.github.faults.set({ webhooks: { lose: 1 } });
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: workflow });
    await eventually('the job is done', 90_000, () =>
      service.github.jobs().every(({ status }) => status === 'completed') ? true : undefined,
    );
  });
});
