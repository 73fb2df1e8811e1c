import { join } from 'node:path';
import { expect } from 'chai';
import { readinessSchema } from '../../dispatcher/http/admin-shapes.ts';
import { shr } from '../cli/process.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

const RUNNER = join(import.meta.dirname, '..', '..', 'simulators', 'github', 'runner.mjs');
const job = `
on: push
jobs:
  work:
    runs-on: e2e
    steps: [{ run: "echo done" }]
`;

describe('a kind whose package cannot be used', function () {
  this.timeout(120_000);
  let service: Service;

  after(() => service.close());

  it('is closed, with the reason shown, and its jobs run on the next backend', async () => {
    service = await startService({
      dispatcher: { providers: { acme: 'acme-runners@1.4.0' } },
      registration: ({ folder }) => ({
        backends: [
          { name: 'first', kind: 'acme', options: { anything: true } },
          {
            name: 'second',
            kind: 'process',
            options: { command: [process.execPath, RUNNER], root: join(folder, 'instances') },
          },
        ],
      }),
    });
    expect(service.output()).to.include(
      'backends of kind `acme` are closed: the package acme-runners is not installed',
    );
    service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: job });
    await eventually('the job ended, and nothing is left', 60_000, async () => {
      const done = service.github.jobs().every(({ conclusion }) => conclusion === 'success');
      return done && service.github.jobs().length === 1 && service.github.runners().length === 0 ? true : undefined;
    });
    const ready = readinessSchema.parse(await (await fetch(`${service.adminUrl}/readyz`)).json());
    expect(ready).to.include({ ready: true });
    const words = ['backends', '--url', service.adminUrl];
    const { out } = await shr(words, service.folder, { SHR_ADMIN_TOKEN: ADMIN_TOKEN });
    expect(out).to.match(/first.*the package acme-runners is not installed/);
  });
});
