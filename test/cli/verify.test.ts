import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import {
  makeProbe,
  type Probe,
  runnerRequest,
  smallestShape,
  VERIFIER,
  withProgram,
} from '../../dispatcher/cli/verify-live/probe.ts';
import { type Step, type Verified, verify } from '../../dispatcher/cli/verify-live/verify.ts';
import { loadProvider } from '../../providers/index.ts';
import processModule from '../../providers/process/index.ts';
import { type Instance, type InstanceRef, type Provider, ProviderError } from '../../providers/provider.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { testHost } from '../conformance/harness.ts';
import { registration } from '../registration-fixture.ts';

const OTHER = '0123456789abcdef';

/** The real `process` provider, with some of its methods replaced: a service that does not keep the contract. */
describe('the steps of shr verify-live, on a service that breaks its word', () => {
  let root: string;
  let honest: Provider;
  /** With its own command, as real runners have it. */
  let real: Provider;
  let probe: Probe;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'shr-verify-'));
    const module = await loadProvider('process');
    honest = module.create(withProgram(module, { command: ['false'], root }), testHost());
    real = withCommand('echo "Not configured."; exit 1');
    const smallest = smallestShape(honest, registration(), undefined);
    if (!smallest.ok) throw new Error(smallest.reason);
    probe = makeProbe(registration(), smallest.shape, systemClock, systemRandom);
  });

  afterEach(async () => {
    expect(await honest.list({ dispatcher: VERIFIER }), 'what is left').to.deep.equal([]);
    await rm(root, { recursive: true });
  });

  function withCommand(script: string): Provider {
    return processModule.create(processModule.options.parse({ command: ['sh', '-c', script], root }), testHost());
  }

  function like(changes: Partial<Provider>): Provider {
    return {
      capabilities: honest.capabilities,
      fit: (wish) => honest.fit(wish),
      launch: (request) => honest.launch(request),
      inspect: (ref) => honest.inspect(ref),
      list: (owner) => honest.list(owner),
      stop: (ref) => honest.stop(ref),
      logs: (ref) => honest.logs(ref),
      check: () => honest.check(),
      close: () => honest.close(),
      ...changes,
    };
  }

  function walk(
    provider: Provider,
    signal: AbortSignal = new AbortController().signal,
    onStep: (step: Step) => void = () => {},
  ): Promise<Verified> {
    return verify({
      provider,
      probe,
      runner: { provider: real, request: runnerRequest(probe, registration(), systemClock, systemRandom) },
      clock: systemClock,
      patience: { runMs: 5_000, outputMs: 1_500, goneMs: 1_500 },
      signal,
      onStep,
      onWait: () => {},
    });
  }

  async function failedSteps(changes: Partial<Provider>): Promise<Readonly<Record<string, string>>> {
    const { steps, left } = await walk(like(changes));
    expect(left).to.equal(undefined);
    return Object.fromEntries(
      steps.filter(({ outcome }) => outcome === 'failed').map(({ name, message }) => [name, message]),
    );
  }

  it('all hold on an honest one', async () => {
    expect(await failedSteps({})).to.deep.equal({});
  });

  it('sees a second launch that makes another instance', async () => {
    let launches = 0;
    const failed = await failedSteps({
      launch: async (request) => {
        const instance = await honest.launch(request);
        launches += 1;
        return launches === 1 ? instance : { ...instance, ref: { ...instance.ref, id: OTHER } };
      },
    });
    expect(failed).to.have.all.keys('launch-again');
    expect(failed['launch-again']).to.include(`made another instance, ${OTHER}`);
  });

  it('sees a tag that was changed on the way', async () => {
    const changed = (instance: Instance): Instance =>
      instance.tags === undefined
        ? instance
        : { ...instance, tags: { ...instance.tags, charge: { purpose: 'Pruefung = shr verify-live' } } };
    const failed = await failedSteps({ list: async (owner) => (await honest.list(owner)).map(changed) });
    expect(failed).to.have.all.keys('list');
    expect(failed['list']).to.include('not those it was given');
  });

  it('sees an instance that never comes into the list', async () => {
    const failed = await failedSteps({ list: async () => [] });
    expect(failed).to.have.all.keys('list');
    expect(failed['list']).to.equal('not within 2 s: it is in the list');
  });

  it('sees an id that leads elsewhere', async () => {
    const failed = await failedSteps({
      inspect: async (ref) => {
        const found = await honest.inspect({ name: ref.name });
        return found === undefined || ref.id !== undefined ? found : { ...found, ref: { ...found.ref, id: OTHER } };
      },
    });
    expect(failed).to.have.all.keys('inspect');
    expect(failed['inspect']).to.include(`by name it is ${OTHER}`);
  });

  it('sees a container that failed', async () => {
    const failed = await failedSteps({
      inspect: async (ref) => {
        const found = await honest.inspect(ref);
        return found === undefined
          ? undefined
          : { ...found, state: 'failed', reason: { kind: 'image-pull-failed', message: 'no such image' } };
      },
    });
    expect(failed).to.deep.equal({ run: 'it failed: image-pull-failed, no such image' });
  });

  it('says why a container does not start, as far as the service tells', async () => {
    const reason = { kind: 'image-pull-failed', message: 'no such tag' } as const;
    const seen = async (ref: InstanceRef): Promise<Instance | undefined> => {
      const found = await honest.inspect(ref);
      return found === undefined ? undefined : { ...found, state: 'pending', reason };
    };
    const failed = await failedSteps({ inspect: seen });
    expect(failed['run']).to.equal('not within 5 s: it runs (so far image-pull-failed: no such tag)');
  });

  it('sees output that is another one', async () => {
    const failed = await failedSteps({ logs: async () => 'Pulling image …' });
    expect(failed).to.have.all.keys('output');
    expect(failed['output']).to.include('ends with: Pulling image');
  });

  it('sees a secret in the list, and does not repeat it', async () => {
    const failed = await failedSteps({
      list: async (owner) =>
        (await honest.list(owner)).map((instance) => ({
          ...instance,
          reason: { kind: 'unknown', message: `JITCONFIG=${probe.secret}` },
        })),
    });
    expect(failed).to.deep.equal({ secrecy: 'list or inspect shows the secret' });
  });

  it('sees a container that stays after it was stopped, and goes on to take it away', async () => {
    let stops = 0;
    const failed = await failedSteps({
      stop: async (ref) => {
        stops += 1;
        // The walk's own: once by id, then twice of what should be absent.
        if (stops > 3) await honest.stop(ref);
      },
    });
    expect(failed).to.have.all.keys('gone');
    expect(failed['gone']).to.include('not within 2 s: it is gone');
  });

  it('sees that to stop what is absent is an error', async () => {
    const failed = await failedSteps({
      stop: async (ref) => {
        if ((await honest.inspect(ref)) === undefined) throw new ProviderError('invalid', 'process stop', 'not found');
        await honest.stop(ref);
      },
    });
    expect(failed).to.deep.equal({ 'stop-again': 'invalid: process stop: not found' });
  });

  it('takes away what a launch made that was refused in the end', async () => {
    const failed = await failedSteps({
      launch: async (request) => {
        await honest.launch(request);
        throw new ProviderError('unauthorized', 'process launch', 'and yet it is there');
      },
    });
    expect(failed).to.deep.equal({ launch: 'unauthorized: process launch: and yet it is there' });
  });

  it('waits for a launch that is under way when it is interrupted, and takes away what that makes', async () => {
    const interruption = new AbortController();
    const order: string[] = [];
    const { steps, interrupted, left } = await walk(
      like({
        launch: async (request) => {
          interruption.abort(new Error('interrupted'));
          await new Promise((resolve) => setImmediate(resolve));
          const instance = await honest.launch(request);
          order.push('launched');
          return instance;
        },
        stop: async (ref) => {
          order.push('stopped');
          await honest.stop(ref);
        },
      }),
      interruption.signal,
    );
    expect({ steps, interrupted, left }).to.deep.equal({ steps: [], interrupted: true, left: undefined });
    expect(order).to.deep.equal(['launched', 'stopped']);
  });

  it('calls nothing left behind that was refused outright, where it may not even look', async () => {
    const refuse = async (): Promise<never> => {
      throw new ProviderError('unauthorized', 'process', 'no rights at all');
    };
    const { steps, left } = await walk(like({ launch: refuse, inspect: refuse, list: refuse, stop: refuse }));
    expect(steps[0]?.outcome).to.equal('failed');
    expect(left).to.equal(undefined);
  });

  it('says that something may be left where a launch had no answer and looking is not permitted', async function () {
    this.timeout(20_000);
    const refuse = async (): Promise<never> => {
      throw new ProviderError('unauthorized', 'process', 'no rights any more');
    };
    let launches = 0;
    const launch = (): Promise<never> => {
      launches += 1;
      return launches === 1 ? Promise.reject(new ProviderError('transient', 'process launch', 'no answer')) : refuse();
    };
    const { left } = await walk(like({ launch, inspect: refuse, list: refuse, stop: refuse }));
    expect(left).to.include('could not be taken away');
  });

  it('says what is left, by name and id, when it cannot be stopped', async function () {
    this.timeout(30_000);
    const { steps, left } = await walk(
      like({
        stop: async () => {
          throw new ProviderError('unauthorized', 'process stop', 'not any more');
        },
      }),
    );
    expect(steps.filter(({ outcome }) => outcome === 'skipped').map(({ name }) => name)).to.deep.equal([
      'gone',
      'stop-again',
      'runner',
    ]);
    const [instance] = await honest.list({ dispatcher: VERIFIER });
    expect(left).to.include(`${probe.request.name} (${instance?.ref.id}) could not be taken away`);
    expect(left).to.include('unauthorized: process stop: not any more').and.include('ends by itself after 10 minutes');
    await honest.stop(probe.request);
  });

  describe('with the command of real runners', () => {
    const runnerStep = async () => (await walk(honest)).steps.find(({ name }) => name === 'runner');

    it('tells that it runs, with what it says', async () => {
      expect(await runnerStep()).to.include({ outcome: 'confirmed' });
      expect((await runnerStep())?.message).to.match(/its own command runs.*Not configured\.$/);
    });

    it('is content with one that goes on running, and takes it away', async () => {
      real = withCommand('trap "exit 143" TERM; echo Listening; sleep 60 & wait');
      expect((await runnerStep())?.message).to.match(/Listening$/);
    });

    for (const [what, script, says] of [
      ['that is not there', 'exec /home/runner/run.sh', /the image has no runner that can be started: exited with 127/],
      ['that may not be run', 'exec /etc/passwd', /the image has no runner that can be started: exited with 126/],
    ] as const) {
      it(`tells a program ${what} from a runner`, async () => {
        real = withCommand(script);
        const step = await runnerStep();
        expect(step).to.include({ outcome: 'failed' });
        expect(step?.message).to.match(says);
      });
    }

    it('tells a program that the service does not start at all', async () => {
      real = processModule.create(processModule.options.parse({ command: ['/no/runner'], root }), testHost());
      expect((await runnerStep())?.message).to.match(/the image has no runner that can be started: .*\/no\/runner/);
    });
  });

  it('does not ask for output where the service has none', async () => {
    const { steps } = await walk(like({ capabilities: { ...honest.capabilities, logs: false } }));
    expect(steps.find(({ name }) => name === 'output')).to.include({ outcome: 'skipped' });
  });
});

describe('the smallest container', () => {
  it('is the first size that the service does not refuse', async () => {
    const module = await loadProvider('process');
    const provider = module.create(module.options.parse({ command: ['false'] }), testHost());
    const picky: Pick<Provider, 'capabilities' | 'fit'> = {
      capabilities: { ...provider.capabilities, architectures: ['arm64'], subnet: true },
      fit: (wish) =>
        (wish.cpu ?? 0) < 1
          ? { fits: false, reason: 'at least 1 core' }
          : provider.fit({ ...wish, architecture: 'x64' }),
    };
    const wished = { ...registration().defaults, subnet: 'vsw-1', securityGroup: 'sg-1' };
    const found = smallestShape(
      { ...picky, fit: (wish) => ({ fits: true, shape: { ...wish, cpu: 1, memoryGiB: 1 } }) },
      registration({ defaults: wished }),
      'b:2',
    );
    expect(found).to.deep.include({ ok: true });
    if (!found.ok) return;
    expect(found.shape).to.include({ architecture: 'arm64', image: 'b:2', subnet: 'vsw-1', spot: false });
    expect(found.shape).to.not.have.property('securityGroup');
    const least = smallestShape({ ...picky, capabilities: provider.capabilities }, registration(), undefined);
    expect(least.ok && least.shape.cpu).to.equal(1);
  });
});
