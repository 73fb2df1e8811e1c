/** The story of joining through the API alone, by calls that are made of the served OpenAPI document. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { z } from 'zod';
import { problemSchema, registrationDetailSchema, registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { APP, GITHUB, platformOf, registrationText, type TlsFront, tlsFront, workflowText } from './joining-fixture.ts';
import { type Answer, type Calls, openApiClient } from './openapi-client.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

describe('tenants that join by a portal', function () {
  this.timeout(420_000);
  let place: string;
  let front: TlsFront;
  let service: Service;
  let platform: Calls;
  let web: Calls;
  let tag = '';

  before(async () => {
    place = await mkdtemp(join(tmpdir(), 'shr-portal-'));
    front = await tlsFront();
    await writeFile(join(place, 'authorities.pem'), front.certificate);
    service = await startService({
      github: GITHUB,
      environment: { NODE_EXTRA_CA_CERTS: join(place, 'authorities.pem'), APP_ID: `${APP}` },
      dispatcher: platformOf(front.host, place),
    });
    front.target = service.github.url;
    platform = await openApiClient(service.adminUrl, ADMIN_TOKEN);
  });

  after(async () => {
    await service.close();
    await front.close();
    await rm(place, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  });

  const registrationOf = (tenant: string, changes?: string): unknown =>
    parse(registrationText(tenant, front.host, changes));
  const detail = ({ body }: Answer) => registrationDetailSchema.parse(body);
  const problems = ({ body }: Answer) => problemSchema.parse(body).problems ?? [];
  const list = async () => registrationListSchema.parse((await platform('getRegistrations')).body);
  const put = (calls: Calls, registration: string, body: unknown, more: Readonly<Record<string, string>> = {}) =>
    calls('putRegistrationsByRegistration', { parameters: { registration, ...more }, body });
  const jobs = () => service.github.jobs().filter(({ labels }) => labels.includes('web-runner'));
  const count = (status: string) => jobs().filter((job) => job.status === status).length;
  const push = (amount: number, script: string) =>
    service.github.pushWorkflow({
      owner: 'web-team',
      repository: 'web',
      yaml: workflowText('web-runner', amount, script),
    });

  it('gives the tenant a token of its own', async () => {
    const made = await platform('postTokens', { parameters: { name: 'portal-web', role: 'admin', tenants: 'web' } });
    expect(made.status).to.equal(201);
    web = await openApiClient(service.adminUrl, z.looseObject({ token: z.string() }).parse(made.body).token);
  });

  it('says what is wrong, takes what is right, and the first job runs', async () => {
    push(1, 'echo first');
    const wrong = await put(web, 'web', registrationOf('web', 'maxRunner: 20\n'));
    expect(wrong.status).to.equal(422);
    expect(problems(wrong)[0]?.message).to.equal('unknown key `maxRunner`');
    expect((await list()).registrations.map(({ name }) => name)).to.deep.equal(['e2e']);
    const right = await put(web, 'web', registrationOf('web'), { 'If-None-Match': '*' });
    expect(right.status, JSON.stringify(right.body)).to.equal(201);
    expect(detail(right)).to.include({ state: 'in-force', source: 'api', tenant: 'web' });
    expect(detail(right).document?.putBy).to.equal('portal-web');
    tag = right.headers.get('etag') ?? '';
    await eventually('the first job ran', 90_000, () => (count('completed') === 1 ? true : undefined));
    expect(jobs()[0]?.conclusion).to.equal('success');
  });

  it('refuses what reaches too far, with the grant that it would need, and what is another’s', async () => {
    const far = await put(web, 'web', registrationOf('web', 'maxRunners: 50\n'));
    expect(far.status).to.equal(422);
    expect(problems(far)[0]?.cure).to.include('tenants.web.limits.maxRunners: 50');
    expect((await put(web, 'data', registrationOf('data'))).status).to.equal(404);
    expect((await put(web, 'e2e', registrationOf('web'))).status).to.equal(404);
    expect((await put(platform, 'data', registrationOf('data'))).status).to.equal(201);
    const read = await web('getRegistrationsByRegistration', { parameters: { registration: 'data' } });
    expect(read.status).to.equal(404);
  });

  it('is there after a restart', async () => {
    await service.end('SIGTERM');
    await service.restart();
    platform = await openApiClient(service.adminUrl, ADMIN_TOKEN);
    expect((await list()).registrations.map(({ name }) => name)).to.deep.equal(['data', 'e2e', 'web']);
    const made = await platform('postTokens', { parameters: { name: 'portal-again', role: 'admin', tenants: 'web' } });
    web = await openApiClient(service.adminUrl, z.looseObject({ token: z.string() }).parse(made.body).token);
    const read = await web('getRegistrationsByRegistration', { parameters: { registration: 'web' } });
    expect(read.headers.get('etag')).to.equal(tag);
  });

  it('changes a cap while jobs run, without killing one', async () => {
    const before = count('completed');
    push(6, 'sleep 12');
    await eventually('six run', 120_000, () => (count('in_progress') === 6 ? true : undefined));
    const lower = await put(web, 'web', registrationOf('web', 'maxRunners: 2\n'), { 'If-Match': tag });
    expect(lower.status).to.equal(200);
    expect((await put(web, 'web', registrationOf('web'), { 'If-Match': tag })).status).to.equal(412);
    tag = lower.headers.get('etag') ?? '';
    await eventually('all have ended', 120_000, () => (count('completed') === before + 6 ? true : undefined));
    expect(new Set(jobs().map(({ conclusion }) => conclusion))).to.deep.equal(new Set(['success']));
  });

  it('leaves: its job runs to the end, and nothing new is launched', async () => {
    const before = count('completed');
    push(1, 'sleep 10');
    await eventually('it runs', 90_000, () => (count('in_progress') === 1 ? true : undefined));
    const gone = await web('deleteRegistrationsByRegistration', {
      parameters: { registration: 'web', 'If-Match': tag },
    });
    expect(gone.body).to.deep.equal({ name: 'web', deleted: true, elsewhere: false });
    const { absent, registrations } = await list();
    expect(registrations.map(({ name }) => name)).to.deep.equal(['data', 'e2e']);
    expect(absent.map(({ absence, registration }) => [registration, absence])).to.deep.equal([['web', 'removed']]);
    push(1, 'echo never');
    await eventually('its job ends', 90_000, () => (count('completed') === before + 1 ? true : undefined));
    await eventually('it is gone', 90_000, async () => ((await list()).absent.length === 0 ? true : undefined));
    expect(count('queued')).to.equal(1);
    const trail = z
      .looseObject({ entries: z.array(z.looseObject({ action: z.string(), status: z.number().nullable() })) })
      .parse((await web('getAudit')).body);
    const actions = new Set(trail.entries.map(({ action, status }) => `${action} ${status}`));
    expect([...actions]).to.include.members([
      'registration.put 201',
      'registration.put 412',
      'registration.delete 200',
    ]);
  });
});
