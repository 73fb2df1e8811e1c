import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import { classify, isAbsent, isDryRunSuccess } from '../../../providers/ali-eci/errors.ts';
import aliEciModule from '../../../providers/ali-eci/index.ts';
import { type AliEciOptions, aliEciOptions } from '../../../providers/ali-eci/options.ts';
import { Rate } from '../../../providers/ali-eci/rate.ts';
import { clientToken, createParameters } from '../../../providers/ali-eci/request.ts';
import { fitSize, sizes } from '../../../providers/ali-eci/sizes.ts';
import { type ContainerGroup, containerGroup, toInstance } from '../../../providers/ali-eci/state.ts';
import { fromTags, toTags } from '../../../providers/ali-eci/tags.ts';
import { type InstanceTags, type LaunchRequest, ProviderError, type ShapeWish } from '../../../providers/provider.ts';
import { testHost } from '../../conformance/harness.ts';
import { rejection } from './fixture.ts';

const least = {
  region: 'cn-hangzhou',
  accessKeyId: 'key',
  accessKeySecret: 'the-secret',
  vSwitchIds: ['vsw-a'],
  securityGroupId: 'sg-a',
};
const options = (more: object = {}): AliEciOptions => aliEciOptions.parse({ ...least, ...more });
const wish = (more: Partial<ShapeWish> = {}): ShapeWish => ({
  architecture: 'x64',
  image: 'runner:1',
  spot: false,
  dockerInDocker: false,
  ...more,
});
const tags = (more: Partial<InstanceTags> = {}): InstanceTags => ({
  dispatcher: 'disp',
  registration: 'acme',
  lane: '0123456789abcdef',
  scope: 'orgs/acme',
  runner: 'disp-1',
  createdAtMs: 1,
  deadlineAtMs: 2,
  charge: {},
  ...more,
});
const request = (more: Partial<LaunchRequest> = {}): LaunchRequest => ({
  name: 'disp-1',
  shape: { ...wish(), cpu: 1, memoryGiB: 2 },
  tags: tags(),
  environment: {},
  secretEnvironment: {},
  ...more,
});
const parameters = (changes: Partial<LaunchRequest>, more: object = {}) =>
  createParameters(request(changes), options(more), 'token');

describe('ali-eci sizes', () => {
  const fitted = (cpu: number | undefined, memoryGiB: number | undefined): string => {
    const fit = fitSize(
      wish({ ...(cpu === undefined ? {} : { cpu }), ...(memoryGiB === undefined ? {} : { memoryGiB }) }),
    );
    return fit.fits
      ? `${fit.shape.cpu}/${fit.shape.memoryGiB}${fit.note === undefined ? '' : ` (${fit.note})`}`
      : fit.reason;
  };

  it('leaves every size that is sold as it is, without a note', () => {
    for (const [cpu, memories] of sizes) {
      for (const memory of memories) expect(fitted(cpu, memory)).to.equal(`${cpu}/${memory}`);
    }
  });

  for (const [cpu, memory, becomes] of [
    [0.3, 0.6, '0.5/1 (0.3 cores become 0.5; 0.6 GiB become 1: 0.5 cores with 1 GiB are billed)'],
    [1, 3, '1/4 (3 GiB become 4: 1 core with 4 GiB are billed)'],
    [1, 16, '2/16 (1 core becomes 2: 2 cores with 16 GiB are billed)'],
    [9, 9, '16/16 (9 cores become 16; 9 GiB become 16: 16 cores with 16 GiB are billed)'],
    [2, undefined, '2/4'],
    [0.25, undefined, '0.25/0.5'],
    [undefined, 8, '2/8'],
    [undefined, 0.5, '0.25/0.5'],
    [undefined, 512, '64/512'],
    [undefined, undefined, '1/2'],
    [undefined, 513, 'any cores with 513 GiB are not sold; the largest is 64 cores with 512 GiB'],
    [64, 513, '64 cores with 513 GiB are not sold; the largest is 64 cores with 512 GiB'],
    [65, undefined, '65 cores with any GiB are not sold; the largest is 64 cores with 512 GiB'],
  ] as const) {
    it(`makes ${cpu ?? 'any'} cores with ${memory ?? 'any'} GiB: ${becomes}`, () => {
      expect(fitted(cpu, memory)).to.equal(becomes);
    });
  }

  for (const [cpu, memoryGiB, becomes] of [
    [undefined, undefined, '2/4'],
    [0.25, 0.5, '2/2'],
    [1, 2, '2/2'],
    [1, undefined, '2/4'],
    [undefined, 2, '2/2'],
    [2, 1, '2/1'],
    [4, 8, '4/8'],
    [undefined, 512, '64/512'],
  ] as const) {
    it(`makes ${cpu ?? 'any'} cores with ${memoryGiB ?? 'any'} GiB of spot: ${becomes}`, () => {
      const fit = fitSize(
        wish({ spot: true, ...(cpu === undefined ? {} : { cpu }), ...(memoryGiB === undefined ? {} : { memoryGiB }) }),
      );
      expect(fit.fits && `${fit.shape.cpu}/${fit.shape.memoryGiB}`).to.equal(becomes);
      expect(fit.fits && (fit.note ?? '').includes('billed')).to.equal(cpu !== undefined && cpu < 2);
      expect(fit.fits && fitSize(fit.shape), 'its own answer').to.deep.equal({
        fits: true,
        shape: fit.fits && fit.shape,
      });
    });
  }

  it('never gives less for more, as long as nothing exact is asked for', () => {
    const amount = fc.integer({ min: 1, max: 511_999 }).map((milli) => milli / 1000 + 0.0001);
    fc.assert(
      fc.property(amount, amount, amount, amount, (cpu, memoryGiB, moreCpu, moreMemory) => {
        const small = fitSize(wish({ cpu, memoryGiB }));
        const large = fitSize(wish({ cpu: cpu + moreCpu, memoryGiB: memoryGiB + moreMemory }));
        if (!small.fits || !large.fits) return;
        expect(large.shape.cpu).to.be.at.least(small.shape.cpu);
        expect(large.shape.memoryGiB).to.be.at.least(small.shape.memoryGiB);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('ali-eci fit', () => {
  const reasonOf = (more: Partial<ShapeWish>, over: object = {}): string | undefined => {
    const fit = aliEciModule.create(options(over), testHost()).fit(wish(more));
    return fit.fits ? undefined : fit.reason;
  };

  it('refuses what the options do not allow, and says which option would', () => {
    expect(reasonOf({ dockerInDocker: true })).to.include('privileged');
    expect(reasonOf({ bucket: 'cache' })).to.include('ramRoleName');
    expect(reasonOf({ timeLimitMs: 3_600_000 }, { longestLifeS: 60 })).to.include('60000 ms');
    expect(reasonOf({ diskGiB: 5001 })).to.include('5000');
  });

  it('refuses a bucket or a prefix that would lead elsewhere', () => {
    const role = { ramRoleName: 'jobs' };
    expect(reasonOf({ bucket: 'cache', bucketPrefix: 'acme/web' }, role)).to.equal(undefined);
    for (const bad of [{ bucket: 'Cache' }, { bucket: 'a/b' }, { bucket: 'cache', bucketPrefix: '../other' }]) {
      expect(reasonOf(bad, role), JSON.stringify(bad)).to.match(/cannot be|is not a valid/);
    }
  });

  it('takes what the options allow', () => {
    const all = { privileged: true, ramRoleName: 'jobs' };
    expect(
      reasonOf({ dockerInDocker: true, bucket: 'cache', spot: true, diskGiB: 100, architecture: 'arm64' }, all),
    ).to.equal(undefined);
  });
});

describe('ali-eci options', () => {
  const said = (input: object): string => {
    const parsed = aliEciOptions.safeParse(input);
    return parsed.success
      ? ''
      : parsed.error.issues.map(({ path, message }) => `${path.join('.')} ${message}`).join('; ');
  };

  for (const [what, more, words] of [
    ['half a key', { accessKeySecret: undefined }, 'go together'],
    ['no credentials', { accessKeyId: undefined, accessKeySecret: undefined }, 'or ecsRamRole'],
    ['a key and a role', { ecsRamRole: 'machine' }, 'not both'],
    [
      'a token without a key',
      { accessKeyId: undefined, accessKeySecret: undefined, ecsRamRole: 'r', securityToken: 't' },
      'accessKeyId',
    ],
    ['an unknown region', { region: 'cn-atlantis' }, 'cn-hangzhou, '],
    ['an unknown key', { vswitch: 'vsw-a' }, 'vswitch'],
    ['plain http to elsewhere', { endpoint: 'http://eci.example' }, 'this machine only'],
    ['an odd vSwitch', { vSwitchIds: ['subnet-1'] }, 'vsw-'],
    ['a price limit that is missing', { spot: { strategy: 'SpotWithPriceLimit' } }, 'priceLimit'],
    ['eleven vSwitches', { vSwitchIds: Array.from({ length: 11 }, (_, index) => `vsw-${index}`) }, '10'],
  ] as const) {
    it(`refuses ${what}, in words`, () => {
      expect(said({ ...least, ...more })).to.include(words);
    });
  }

  it('stand in the README, every one', async () => {
    const readme = await readFile(new URL('../../../providers/ali-eci/README.md', import.meta.url), 'utf8');
    const table = readme.slice(readme.indexOf('## Options'), readme.indexOf('## Sizes'));
    const names = Object.keys(aliEciOptions.shape);
    expect(names.length).to.be.greaterThan(20);
    expect(names.filter((name) => !table.includes(`\`${name}\``))).to.deep.equal([]);
  });

  it('takes the least, and a region that is unknown here with its endpoint', () => {
    expect(said(least)).to.equal('');
    expect(said({ ...least, region: 'cn-atlantis', endpoint: 'https://eci.atlantis.example' })).to.equal('');
    expect(said({ ...least, accessKeyId: undefined, accessKeySecret: undefined, ecsRamRole: 'machine' })).to.equal('');
  });
});

describe('ali-eci tags', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 });
  const anyTags = fc.record({
    registration: fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/),
    scope: text,
    charge: fc.dictionary(
      fc.oneof(text, fc.stringMatching(/^[a-z.-]{1,20}$/)),
      fc.oneof(text, fc.stringMatching(/^[A-Za-z0-9 ]{1,40}$/)),
      { maxKeys: 6 },
    ),
  });

  it('come back as they were, within the limits of the service', () => {
    fc.assert(
      fc.property(anyTags, (some) => {
        const whole = tags(some);
        const encoded = toTags(whole);
        expect(encoded.length).to.be.at.most(19);
        expect(new Set(encoded.map(({ key }) => key)).size).to.equal(encoded.length);
        for (const { key, value } of encoded) {
          expect(key).to.match(/^shr[.-][a-z0-9.-]{1,60}$/);
          expect(value).to.match(/^[\x20-\x7e]{1,128}$/);
        }
        expect(fromTags([...encoded].reverse())).to.deep.equal(whole);
      }),
    );
  });

  it('keep plain charge labels in clear, for the bill', () => {
    expect(toTags(tags({ charge: { 'cost-centre': '4711', Größe: 'x' } }))).to.deep.include({
      key: 'shr.charge.cost-centre',
      value: '4711',
    });
  });

  it('refuse what does not fit, naming the longest labels', () => {
    const charge = { small: 'x', huge: 'ü'.repeat(2000) };
    expect(() => toTags(tags({ charge }))).to.throw(ProviderError, '"huge"');
  });

  it('are not ours when a piece is missing or damaged', () => {
    const encoded = toTags(tags());
    expect(fromTags(encoded.filter(({ key }) => key !== 'shr-1'))).to.equal(undefined);
    expect(fromTags(encoded.map((tag) => (tag.key === 'shr-1' ? { ...tag, value: `x${tag.value}` } : tag)))).to.equal(
      undefined,
    );
    expect(fromTags([{ key: 'owner', value: 'somebody else' }])).to.equal(undefined);
  });
});

describe('ali-eci requests', () => {
  const SECRET = `s3cr3t-${'x1Y2/+= $"\'`\\'.repeat(300)}`;

  it('carry a secret in a file, and nowhere else', () => {
    const flat = parameters({ secretEnvironment: { JIT: SECRET } });
    const file = 'Volume.1.ConfigFileVolume.ConfigFileToPath.1.';
    expect(flat[`${file}Path`]).to.equal('JIT');
    expect(Buffer.from(flat[`${file}Content`] ?? '', 'base64').toString()).to.equal(SECRET);
    const { [`${file}Content`]: _, ...others } = flat;
    expect(JSON.stringify(others))
      .to.not.include('s3cr3t')
      .and.not.include(Buffer.from(SECRET).toString('base64').slice(0, 20));
  });

  it('carry a secret in pieces of a hidden environment when they are told to', () => {
    const flat = parameters({ secretEnvironment: { JIT: SECRET } }, { secretsBy: 'hidden-environment' });
    expect(flat['Container.1.EnvironmentVarHide']).to.equal('true');
    const values = Object.entries(flat)
      .filter(([name]) => /EnvironmentVar\.\d+\.Value$/.test(name))
      .map(([, value]) => value);
    expect(values.join('')).to.equal(SECRET);
    expect(Math.max(...values.map((value) => value.length))).to.equal(256);
    expect(Object.keys(flat).some((name) => name.startsWith('Volume.'))).to.equal(false);
    expect(flat['Container.1.Arg.1']).to.not.include('s3cr3t');
  });

  it('put a plain value that is longer than the service takes into a file too', () => {
    const flat = parameters({ environment: { SHORT: 'x'.repeat(256), LONG: 'x'.repeat(257) } });
    expect(flat['Container.1.EnvironmentVar.1.Key']).to.equal('SHORT');
    expect(flat['Container.1.EnvironmentVar.2.Key']).to.equal(undefined);
    expect(flat['Volume.1.ConfigFileVolume.ConfigFileToPath.1.Path']).to.equal('LONG');
  });

  it('refuse more than a file holds, and invalid names', () => {
    expect(() => parameters({ secretEnvironment: { JIT: 'x'.repeat(32 * 1024 + 1) } })).to.throw(
      ProviderError,
      '32 KB',
    );
    const three = { A: 'x'.repeat(30_000), B: 'x'.repeat(30_000), C: 'x'.repeat(30_000) };
    expect(() => parameters({ secretEnvironment: three })).to.throw(ProviderError, '60 KB');
    expect(() => parameters({ secretEnvironment: { 'A;rm': 'x' } })).to.throw(ProviderError, 'not a valid');
  });

  it('let the service end what lives too long', () => {
    const deadline = (timeLimitMs?: number) =>
      parameters({ shape: { ...request().shape, ...(timeLimitMs === undefined ? {} : { timeLimitMs }) } })[
        'ActiveDeadlineSeconds'
      ];
    expect(deadline()).to.equal('518400');
    expect(deadline(90_500)).to.equal('91');
  });

  it('are privileged only for a job that asks, on a backend that allows it', () => {
    const privileged = (dockerInDocker: boolean, allowed: boolean) => {
      const flat = parameters({ shape: { ...request().shape, dockerInDocker } }, { privileged: allowed });
      return [
        flat['Container.1.SecurityContextPrivileged'],
        Object.values(flat).includes('k8s.aliyun.com/eci-docker-build-enable'),
      ];
    };
    expect(privileged(true, true)).to.deep.equal(['true', true]);
    for (const [asks, allowed] of [
      [true, false],
      [false, true],
      [false, false],
    ] as const) {
      expect(privileged(asks, allowed)).to.deep.equal([undefined, false]);
    }
  });

  it('give a runner no identity unless the registration names one', () => {
    expect(parameters({})).to.not.have.property('RamRoleName');
    expect(parameters({}, { ramRoleName: 'jobs' })['RamRoleName']).to.equal('jobs');
  });

  it('have one token for a name of a dispatcher, and another one after it was removed', () => {
    const all = [clientToken('a', 'n'), clientToken('b', 'n'), clientToken('a', 'm'), clientToken('a', 'n', 'eci-1')];
    expect(new Set(all).size).to.equal(4);
    expect(clientToken('a', 'n'))
      .to.equal(all[0])
      .and.match(/^[\x20-\x7e]{1,64}$/);
  });
});

describe('ali-eci errors', () => {
  const sdkError = (statusCode: number, code: string | undefined, more: object = {}) => ({
    name: 'ClientError',
    statusCode,
    code,
    message: 'The words.',
    requestId: 'R',
    ...more,
  });

  for (const [status, code, kind] of [
    [403, 'OperationDenied.NoStock', 'capacity'],
    [403, 'Zone.NotOnSale', 'capacity'],
    [403, 'Spot.NotMatched', 'capacity'],
    [403, 'InvalidVSwitchId.IpNotEnough', 'capacity'],
    [400, 'RecommendEmpty.InstanceTypeFamilyNotMatched', 'capacity'],
    [403, 'OperationDenied.SomeNoStockOfTomorrow', 'capacity'],
    [403, 'QuotaExceeded', 'quota'],
    [403, 'QuotaExceeded.Eip', 'quota'],
    [403, 'Throttling.Vcpu.PerDay', 'quota'],
    [400, 'Throttling', 'throttled'],
    [400, 'Throttling.User', 'throttled'],
    [429, 'SomethingNew', 'throttled'],
    [400, 'Account.Arrearage', 'unauthorized'],
    [403, 'Forbidden.SubUser', 'unauthorized'],
    [403, 'Forbidden.RAM', 'unauthorized'],
    [403, 'NoPermission', 'unauthorized'],
    [404, 'InvalidAccessKeyId.NotFound', 'unauthorized'],
    [400, 'SignatureDoesNotMatch', 'unauthorized'],
    [400, 'InvalidSecurityToken.Expired', 'unauthorized'],
    [403, 'SomethingNew', 'unauthorized'],
    [400, 'InvalidParameter.CPU.Memory', 'invalid'],
    [400, 'InvalidSpotCpuMemorySpec', 'invalid'],
    [404, 'ImageSnapshot.NotFound', 'invalid'],
    [404, 'InvalidVSwitchId.NotFound', 'invalid'],
    [404, 'InvalidSecurityGroupId.NotFound', 'invalid'],
    [400, 'IncorrectStatus', 'transient'],
    [400, 'IdempotentParameterMismatch', 'transient'],
    [408, 'Request Timeout', 'transient'],
    [503, 'ServiceUnavailable', 'transient'],
    [500, 'InternalError', 'transient'],
    [400, 'SomethingNew', 'transient'],
    [502, undefined, 'transient'],
    [400, 'constructor', 'transient'],
  ] as const) {
    it(`take ${status} ${code} of a creation for ${kind}`, () => {
      const error = classify('CreateContainerGroup', sdkError(status, code));
      expect(error.kind).to.equal(kind);
      expect(error.requestId).to.equal('R');
      expect(error.message).to.include('The words.');
    });
  }

  for (const [what, error, kind] of [
    [
      'a broken connection',
      Object.assign(new Error('read ECONNRESET POST http://secret-url'), { code: 'ECONNRESET' }),
      'transient',
    ],
    [
      'the library’s own time limit',
      Object.assign(new Error('ReadTimeout(3000)'), { name: 'RequestTimeoutError' }),
      'transient',
    ],
    ['an answer that is no JSON', new SyntaxError('Unexpected end of JSON input'), 'transient'],
    ['nothing at all', undefined, 'transient'],
    ['a certificate that does not hold', Object.assign(new Error('x'), { code: 'CERT_HAS_EXPIRED' }), 'unauthorized'],
    ['a metadata service without the role', new Error('get sts token failed, httpStatus: 404'), 'unauthorized'],
  ] as const) {
    it(`take ${what} for ${kind}, and repeat no URL`, () => {
      const said = classify('CreateContainerGroup', error);
      expect(said.kind).to.equal(kind);
      expect(`${said.message} ${JSON.stringify(said)} ${String(said.cause)}`).to.not.include('secret-url');
    });
  }

  it('carry the time to wait', () => {
    expect(classify('CreateContainerGroup', sdkError(400, 'Throttling', { retryAfter: 1500 })).retryAfterMs).to.equal(
      1500,
    );
  });

  it('do not repeat a secret that the service repeats', () => {
    const error = sdkError(400, 'InvalidParameter', { message: 'Content hush-hush is invalid' });
    expect(classify('CreateContainerGroup', error, ['hush-hush']).message).to.not.include('hush-hush');
  });

  it('know a dry run that passed, and a group that is not there', () => {
    expect(isDryRunSuccess(classify('CreateContainerGroup', sdkError(400, 'DryRunOperation')))).to.equal(true);
    expect(isDryRunSuccess(classify('CreateContainerGroup', sdkError(403, 'QuotaExceeded')))).to.equal(false);
    expect(isAbsent(classify('DeleteContainerGroup', sdkError(404, 'InvalidContainerGroupId.NotFound')))).to.equal(
      true,
    );
    expect(isAbsent(classify('DeleteContainerGroup', sdkError(404, 'InvalidVSwitchId.NotFound')))).to.equal(false);
  });
});

describe('ali-eci states', () => {
  const group = (more: Partial<Record<keyof ContainerGroup, unknown>>): ContainerGroup =>
    containerGroup.parse({
      ContainerGroupId: 'eci-1',
      ContainerGroupName: 'disp-1',
      Status: 'Running',
      Tags: toTags(tags()).map(({ key, value }) => ({ Key: key, Value: value })),
      ...more,
    });
  const ended = (ExitCode: number, Reason = 'Error') => [{ CurrentState: { State: 'Terminated', ExitCode, Reason } }];
  const event = (Reason: string, Message = 'words', Type = 'Warning') => [{ Reason, Message, Type }];

  for (const [what, more, state, kind] of [
    ['Scheduling', { Status: 'Scheduling' }, 'pending', undefined],
    ['Pending', { Status: 'Pending' }, 'pending', undefined],
    ['Running', { Status: 'Running' }, 'running', undefined],
    ['Restarting', { Status: 'Restarting' }, 'running', undefined],
    ['Updating', { Status: 'Updating' }, 'running', undefined],
    ['Terminating', { Status: 'Terminating' }, 'running', 'stopped'],
    ['Succeeded', { Status: 'Succeeded', Containers: ended(0, 'Completed') }, 'succeeded', 'exited'],
    ['Failed with a code', { Status: 'Failed', Containers: ended(3) }, 'failed', 'exited'],
    ['Failed without one', { Status: 'Failed' }, 'failed', 'unknown'],
    ['Expired', { Status: 'Expired' }, 'failed', 'unknown'],
    ['ScheduleFailed with NoStock', { Status: 'ScheduleFailed', Events: event('NoStock') }, 'failed', 'no-stock'],
    [
      'ScheduleFailed with ContainerGroup.NoStock',
      { Status: 'ScheduleFailed', Events: event('ContainerGroup.NoStock') },
      'failed',
      'no-stock',
    ],
    ['ScheduleFailed with StockClose', { Status: 'ScheduleFailed', Events: event('StockClose') }, 'failed', 'no-stock'],
    ['ScheduleFailed without an event', { Status: 'ScheduleFailed' }, 'failed', 'no-stock'],
    [
      'ScheduleFailed for want of money',
      { Status: 'ScheduleFailed', Events: event('InsufficientBalance') },
      'failed',
      'unknown',
    ],
    ['an out-of-memory kill', { Status: 'Failed', Containers: ended(137, 'OOMKilled') }, 'failed', 'out-of-memory'],
    [
      'an out-of-memory kill of a step alone',
      { Status: 'Succeeded', Containers: ended(0), Events: event('OOMKilled') },
      'succeeded',
      'out-of-memory',
    ],
    [
      'a reclaimed spot instance',
      { Status: 'Failed', Containers: ended(137), Events: event('SpotToBeReleased') },
      'failed',
      'spot-reclaimed',
    ],
    [
      'a warned spot instance that was done first',
      { Status: 'Succeeded', Containers: ended(0), Events: event('SpotToBeReleased') },
      'succeeded',
      'exited',
    ],
    [
      'a deadline',
      { Status: 'Failed', Containers: ended(137), Events: event('DeadlineExceeded') },
      'failed',
      'time-limit',
    ],
    [
      'a pull that fails',
      { Status: 'Pending', Containers: [{ CurrentState: { State: 'Waiting', Reason: 'ImagePullBackOff' } }] },
      'pending',
      'image-pull-failed',
    ],
    [
      'a pull that failed, by its event',
      { Status: 'Pending', Events: event('Failed', 'Failed to pull image "x"') },
      'pending',
      'image-pull-failed',
    ],
    [
      'a pull that failed once',
      { Status: 'Running', Events: event('Failed', 'Failed to pull image "x"') },
      'running',
      undefined,
    ],
    ['a word of tomorrow', { Status: 'Dreaming' }, 'unknown', undefined],
  ] as const) {
    it(`read ${what} as ${state}${kind === undefined ? '' : `, ${kind}`}`, () => {
      const instance = toInstance(group(more));
      expect([instance?.state, instance?.reason?.kind]).to.deep.equal([state, kind]);
    });
  }

  it('tell the signal that ended a container', () => {
    expect(toInstance(group({ Status: 'Failed', Containers: ended(143) }))?.reason).to.deep.equal({
      kind: 'exited',
      message: 'ended by signal 15',
      exitCode: 143,
    });
  });

  it('are not ours without our tags, or with the tags of another name', () => {
    expect(toInstance(group({ Tags: [] }))).to.equal(undefined);
    expect(toInstance(group({ ContainerGroupName: 'disp-2' }))).to.equal(undefined);
  });
});

describe('the rate of an ali-eci backend', () => {
  it('lets a burst leave, and never more than its share of the service’s rate in a minute', async () => {
    for (const share of [0.6, 1]) {
      let nowMs = 1_000_000;
      const host = {
        now: () => nowMs,
        after: () => () => {},
        random: () => 0,
        sleep: async (ms: number) => {
          nowMs += ms;
        },
      };
      const rate = new Rate(host, share, 60_000);
      const leftAtMs: number[] = [];
      for (let count = 0; count < 2500; count += 1) {
        await rate.permit('CreateContainerGroup');
        leftAtMs.push(nowMs);
      }
      const most = Math.max(
        ...leftAtMs.map((from) => leftAtMs.filter((at) => at >= from && at < from + 60_000).length),
      );
      expect(most, `of ${1000 * share}`).to.be.within(990 * share, 1000 * share);
      expect(leftAtMs.filter((at) => at === leftAtMs[0]).length, 'at once').to.be.within(25, 50);
      const written = nowMs;
      await rate.permit('DescribeContainerGroups');
      expect(nowMs, 'reading has a rate of its own').to.equal(written);
    }
  });

  it('does not wait for a clock that was set back to catch up', async () => {
    let nowMs = 10_000_000;
    const host = { now: () => nowMs, after: () => () => {}, random: () => 0, sleep: async () => {} };
    const rate = new Rate(host, 0.8, 20_000);
    await rate.permit('CreateContainerGroup');
    nowMs -= 3_600_000;
    await rate.permit('CreateContainerGroup');
  });

  it('refuses what would have to wait too long, and says for how long', async () => {
    const host = { now: () => 0, after: () => () => {}, random: () => 0, sleep: async () => {} };
    const rate = new Rate(host, 0.01, 10_000);
    const answers = await Promise.allSettled(Array.from({ length: 10 }, () => rate.permit('CreateContainerGroup')));
    const refused = answers.filter((answer) => answer.status === 'rejected');
    // One every 6.3 s: one at once, and those that need not wait for more than 10 s.
    expect(refused).to.have.length(7);
    const error: unknown = refused[0]?.reason;
    if (!(error instanceof ProviderError)) throw error;
    expect(error.kind).to.equal('throttled');
    expect(error.retryAfterMs).to.equal(15_900);
  });
});

describe('an ali-eci launch that is not one', () => {
  it('is refused before any call', async () => {
    // The endpoint would not answer.
    const provider = aliEciModule.create(options({ endpoint: 'http://127.0.0.1:1' }), testHost());
    for (const bad of [{ name: 'x' }, { name: 'ends-' }, { shape: { ...request().shape, bucket: 'b-1' } }]) {
      const error = await rejection(provider.launch(request(bad)));
      expect(error).to.be.instanceOf(ProviderError).with.property('kind', 'invalid');
    }
  });
});
