import { Readable } from 'node:stream';
import * as $Eci from '@alicloud/eci20180808';
import { expect } from 'chai';
import { type AliEciSimulator, startAliEciSimulator } from '../../../simulators/ali-eci/index.ts';
import { items, texts } from '../../../simulators/ali-eci/parameters.ts';
import { Signatures } from '../../../simulators/ali-eci/signature.ts';
import { eventually, rejection } from '../../providers/ali-eci/fixture.ts';
import { vendorClient, vendorCreate } from './vendor.ts';

const IMAGE = 'registry.example/runner:1';

describe('the simulator of Alibaba ECI, driven by the vendor’s SDK', () => {
  let simulator: AliEciSimulator;
  before(async () => {
    simulator = await startAliEciSimulator({
      images: { [IMAGE]: ['sh', '-c', 'echo hello; sleep 600'] },
      accessKeys: [
        { id: 'LTAI-simulated', secret: 'simulated-secret' },
        { id: 'STS.one', secret: 'temporary', securityToken: 'token' },
      ],
      mostVcpu: 3,
    });
  });
  after(() => simulator.close());

  const codeOf = (error: unknown): unknown => Object.fromEntries(Object.entries(error ?? {}))['code'];

  it('runs, describes, shows the log of and removes a container group', async () => {
    const client = vendorClient(simulator);
    const id = await vendorCreate(client, { containerGroupName: 'one', image: IMAGE });
    expect(id).to.match(/^eci-/);
    await eventually(
      async () => JSON.stringify(await client.describe('one')),
      (text) => text.includes('"status":"Running"'),
    );
    const log = await eventually(
      () =>
        client.raw.describeContainerLog(
          new $Eci.DescribeContainerLogRequest({
            regionId: simulator.region,
            containerGroupId: id,
            containerName: 'main',
          }),
        ),
      (answer) => answer.body?.content !== '',
    );
    expect(log.body?.content).to.equal('hello\n');
    await client.remove(id);
    await eventually(
      async () => JSON.stringify(await client.describe('one')),
      (text) => text.includes('"totalCount":0'),
    );
  });

  it('accepts temporary credentials with their token alone', async () => {
    const sts = { id: 'STS.one', secret: 'temporary' };
    expect(await vendorClient(simulator, { ...sts, securityToken: 'token' }).describe('none')).to.include({
      totalCount: 0,
    });
    for (const key of [sts, { ...sts, securityToken: 'other' }]) {
      expect(codeOf(await rejection(vendorClient(simulator, key).describe('none')))).to.equal(
        'InvalidSecurityToken.Malformed',
      );
    }
  });

  it('refuses a wrong secret and an unknown key', async () => {
    const wrong = vendorClient(simulator, { id: 'LTAI-simulated', secret: 'wrong' });
    expect(codeOf(await rejection(wrong.describe('none')))).to.equal('SignatureDoesNotMatch');
    const unknown = vendorClient(simulator, { id: 'LTAI-other', secret: 'x' });
    expect(codeOf(await rejection(unknown.describe('none')))).to.equal('InvalidAccessKeyId.NotFound');
  });

  it('keeps the quota, and the limits of parameters', async () => {
    const client = vendorClient(simulator);
    const container = [new $Eci.CreateContainerGroupRequestContainer({ name: 'main', image: IMAGE })];
    expect(
      codeOf(await rejection(client.create({ containerGroupName: 'large', cpu: 4, memory: 8, container }))),
    ).to.equal('QuotaExceeded');
    const environmentVar = [
      new $Eci.CreateContainerGroupRequestContainerEnvironmentVar({ key: 'A', value: 'x'.repeat(257) }),
    ];
    const long = [new $Eci.CreateContainerGroupRequestContainer({ name: 'main', image: IMAGE, environmentVar })];
    expect(codeOf(await rejection(client.create({ containerGroupName: 'long', container: long })))).to.equal(
      'InvalidParameter',
    );
    expect(codeOf(await rejection(client.create({ containerGroupName: 'Upper', container })))).to.equal(
      'InvalidParameter',
    );
  });

  it('gives one group for one token, and refuses the token for another request', async () => {
    const client = vendorClient(simulator);
    const container = [new $Eci.CreateContainerGroupRequestContainer({ name: 'main', image: IMAGE })];
    const create = (containerGroupName: string) =>
      client.create({ containerGroupName, cpu: 0.5, memory: 1, clientToken: 'the-token', container });
    const ids = await Promise.all([create('token'), create('token')]);
    expect(new Set(ids).size).to.equal(1);
    expect(codeOf(await rejection(create('other')))).to.equal('IdempotentParameterMismatch');
    await client.remove(ids[0] ?? '');
  });

  it('takes faults over the wire', async () => {
    const control = (method: string, fault?: object) =>
      fetch(`${simulator.url}/_simulator/faults`, {
        method,
        ...(fault === undefined ? {} : { body: JSON.stringify(fault) }),
      });
    expect((await control('POST', { kind: 'throttling', times: 1 })).status).to.equal(200);
    expect((await control('POST', { kind: 'nonsense' })).status).to.equal(400);
    const client = vendorClient(simulator);
    expect(codeOf(await rejection(client.describe('none')))).to.equal('Throttling');
    await client.describe('none');
    await control('POST', { kind: 'server-error' });
    expect(codeOf(await rejection(client.describe('none')))).to.equal('ServiceUnavailable');
    await control('DELETE');
    await client.describe('none');
  });

  it('keeps the rate of the vendor', async () => {
    const slow = await startAliEciSimulator({ images: {}, rates: { write: 1, read: 2, log: 1 } });
    const client = vendorClient(slow);
    await client.describe('none');
    await client.describe('none');
    expect(codeOf(await rejection(client.describe('none')))).to.equal('Throttling');
    await slow.close();
  });
});

describe('the signature check', () => {
  const at = Date.parse('2026-01-02T03:04:05Z');
  const key = { id: 'ak', secret: 'sk' };

  it('refuses what was changed, what is old, and what comes twice', async () => {
    const calls: string[] = [];
    const simulator = await startAliEciSimulator({ images: {}, onCall: (call) => calls.push(call.url) });
    const unsigned = await fetch(`${simulator.url}/?Action=x`, {
      method: 'POST',
      headers: { 'x-acs-action': 'ListUsage' },
    });
    expect(unsigned.status).to.equal(400);
    expect(await unsigned.json()).to.include({ Code: 'IncompleteSignature' });
    await simulator.close();

    const { headers, body } = await signed(key, at);
    const verify = (changes: object = {}, nowMs = at) =>
      new Signatures([key]).verify(
        { method: 'POST', path: '/', query: new URLSearchParams(), headers, body, ...changes },
        nowMs,
      );
    expect(verify()).to.equal(key);
    expect(() => verify({ body: Buffer.from('A=2') })).to.throw('hash');
    expect(() => verify({ method: 'GET' })).to.throw('signature');
    expect(() => verify({ query: new URLSearchParams('A=1') })).to.throw('signature');
    expect(() => verify({ headers: { ...headers, 'x-acs-action': 'DeleteContainerGroup' } })).to.throw('signature');
    expect(() => verify({}, at + 16 * 60_000)).to.throw('expired');
    const signatures = new Signatures([key]);
    const request = { method: 'POST', path: '/', query: new URLSearchParams(), headers, body };
    signatures.verify(request, at);
    expect(() => signatures.verify(request, at)).to.throw('nonce');
  });
});

describe('flat parameters', () => {
  it('are read as lists, counted from 1 and without a gap', () => {
    expect(texts({ 'A.1': 'x', 'A.2': 'y', 'A.4': 'lost' }, 'A')).to.deep.equal(['x', 'y']);
    expect(items({ 'A.1.K': 'x', 'A.2.K': 'y', 'A.2.L.M': 'z' }, 'A')).to.deep.equal([
      { K: 'x' },
      { K: 'y', 'L.M': 'z' },
    ]);
    expect(() => items({ 'A.2.K': 'x' }, 'A')).to.throw('A.1 is missing');
    expect(() => items({ 'A.0.K': 'x' }, 'A')).to.throw('counted from 1');
  });
});

/** A request of the vendor's core for this instant. */
async function signed(
  key: { readonly id: string; readonly secret: string },
  atMs: number,
): Promise<{ headers: Record<string, string>; body: Buffer }> {
  const { OpenApiUtil } = await import('@alicloud/openapi-core');
  const body = Buffer.from('A=1');
  const hash = OpenApiUtil.hash(body, 'ACS3-HMAC-SHA256').toString('hex');
  const headers = {
    host: 'eci.example',
    'x-acs-action': 'ListUsage',
    'x-acs-version': '2018-08-08',
    'x-acs-date': new Date(atMs).toISOString().replace('.000Z', 'Z'),
    'x-acs-signature-nonce': 'nonce-1',
    'x-acs-content-sha256': hash,
    'content-type': 'application/x-www-form-urlencoded',
  };
  const request = {
    method: 'POST',
    pathname: '/',
    query: {},
    headers,
    protocol: 'https',
    port: 443,
    body: Readable.from([]),
  };
  const authorization = OpenApiUtil.getAuthorization(request, 'ACS3-HMAC-SHA256', hash, key.id, key.secret);
  return { headers: { ...headers, authorization }, body };
}
