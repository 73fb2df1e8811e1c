/** A pull request from a fork of a private repository, with the GitHub simulator on the wire. */
import { join } from 'node:path';
import { expect } from 'chai';
import { jobDetailSchema, jobListSchema, runnerListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { systemClock } from '../../time/clock.ts';
import { type ServiceHere, startServiceHere } from './in-process-fixture.ts';
import { ADMIN_TOKEN, eventually } from './service-fixture.ts';

describe('pull requests of a private repository', function () {
  this.timeout(60_000);
  let service: ServiceHere;
  before(async () => {
    const registration = ({ folder }: { readonly folder: string }) => ({
      backends: [
        {
          name: 'unused',
          kind: 'process',
          options: { command: ['/bin/sleep', '30'], root: join(folder, 'instances') },
        },
      ],
    });
    service = await startServiceHere(systemClock, { registration });
  });
  after(() => service.close());

  const read = async (path: string): Promise<unknown> => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    return await (await fetch(`${service.adminUrl}/api/${path}`, { headers })).json();
  };
  const settled = (id: number) =>
    eventually(`job ${id} is decided on`, 30_000, async () => {
      const { jobs } = jobListSchema.parse(await read('jobs'));
      const job = jobs.find((one) => one.id === id);
      if (job === undefined || job.admission === 'pending') return undefined;
      return jobDetailSchema.parse(await read(`jobs/${job.host}/${job.repository}/${id}`)).job;
    });
  const push = (label: string, fork?: string) => {
    const yaml = `{ on: pull_request, jobs: { work: { runs-on: [e2e, ${label}], steps: [{ run: "true" }] } } }`;
    const from = fork === undefined ? {} : { fork };
    const { jobs } = service.github.pushWorkflow({
      owner: 'acme',
      repository: 'web',
      yaml,
      event: 'pull_request',
      ...from,
    });
    return jobs[0]?.id ?? 0;
  };

  it('are refused before a runner is launched where they come from a fork, and served where they do not', async () => {
    const own = push('sid-own');
    const fork = push('sid-fork', 'mallory/web');
    expect(await settled(own)).to.include({ admission: 'lane' });
    const refused = await settled(fork);
    expect(refused).to.include({ admission: 'refused', reasonCode: 'fork', registration: 'e2e', launches: 0 });
    expect(refused.reason).to.include('the code of this job in acme/web comes from a fork');
    await eventually('a runner for the other', 30_000, async () => {
      const { runners } = runnerListSchema.parse(await read('runners'));
      expect(runners.some(({ labels }) => labels.includes('sid-fork'))).to.equal(false);
      return runners.some(({ labels }) => labels.includes('sid-own')) ? true : undefined;
    });
  });
});
