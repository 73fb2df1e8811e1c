/** The defaults of an organization, from its file to the jobs, with the GitHub simulator on the wire. */
import { join } from 'node:path';
import { expect } from 'chai';
import { explanationSchema, jobListSchema, registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { fastClock, type ServiceHere, startServiceHere } from './in-process-fixture.ts';
import { ADMIN_TOKEN, eventually } from './service-fixture.ts';

/** Five minutes pass in five seconds. */
const RATE = 60;

describe('what an organization forces', function () {
  this.timeout(90_000);
  let service: ServiceHere;
  before(async () => {
    service = await startServiceHere(fastClock(RATE), {
      github: {
        owners: [{ login: 'acme', repositories: [{ name: 'web' }, { name: '.github-private' }] }],
        apps: [
          {
            name: 'e2e',
            installations: [
              {
                account: 'acme',
                permissions: {
                  ...{ actions: 'read', contents: 'read', metadata: 'read' },
                  organization_self_hosted_runners: 'write',
                },
              },
            ],
          },
        ],
      },
      registration: ({ folder }) => ({
        organizationDefaults: 'forced',
        backends: [
          {
            name: 'unused',
            kind: 'process',
            options: { command: ['/bin/sleep', '30'], root: join(folder, 'instances') },
          },
        ],
        poll: { interval: '1m' },
      }),
    });
  });
  after(() => service.close());

  const read = async (path: string): Promise<unknown> => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    return await (await fetch(`${service.adminUrl}/api/${path}`, { headers })).json();
  };
  const shr = (text: string | undefined) =>
    service.github.putFile({ owner: 'acme', repository: '.github-private', path: 'shr.yaml', text });
  const push = (labels: string): number => {
    const yaml = `{ on: push, jobs: { work: { runs-on: [e2e, ${labels}], steps: [{ run: "true" }] } } }`;
    return service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml }).jobs[0]?.id ?? 0;
  };
  const jobIs = (id: number, admission: string) =>
    eventually(`job ${id} is ${admission}`, 30_000, async () => {
      const { jobs } = jobListSchema.parse(await read('jobs'));
      return jobs.find((one) => one.id === id && one.admission === admission);
    });
  const shown = async () => {
    const { registrations } = registrationListSchema.parse(await read('registrations'));
    const [one] = registrations;
    if (one === undefined) throw new Error('there is a registration');
    return one;
  };

  it('refuses jobs beyond it, takes them anew when it changes, and keeps the last one that is right', async () => {
    await eventually('it is known that there is none', 30_000, async () =>
      (await shown()).organizationDefaults?.readAt === null ? undefined : true,
    );
    expect((await shown()).organizationDefaults).to.include({ mode: 'forced', file: null });
    shr('policy:\n  maxCpu: 2\n');
    await eventually('it is read', 30_000, async () => (await shown()).organizationDefaults?.blob ?? undefined);
    const big = push('cpu-4, sid-big');
    const refused = await jobIs(big, 'refused');
    expect(refused).to.include({ reasonCode: 'over-limit' });
    const query = 'explain?repository=acme/web&labels=e2e,cpu-4&visibility=private&host=';
    const host = new URL(service.github.url).host;
    const explained = explanationSchema.parse(await read(`${query}${refused.host ?? host}`));
    expect(explained).to.include({ outcome: 'refused', place: 'acme/.github-private/shr.yaml:2:3' });
    await jobIs(push('cpu-2, sid-small'), 'lane');

    shr('policy:\n  maxCpuu: 1\n');
    await eventually('it is told', 30_000, async () => {
      const { problems } = await shown();
      return problems.find(
        ({ message }) => message.includes('shr.yaml:2:3: policy.maxCpuu') && message.includes('maxCpu'),
      );
    });
    await jobIs(push('cpu-4, sid-still'), 'refused');

    shr('policy:\n  maxCpu: 4\n');
    await jobIs(big, 'lane');
    expect((await shown()).problems.filter(({ kind }) => kind === 'configuration')).to.deep.equal([]);
  });
});
