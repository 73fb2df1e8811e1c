/**
 * The provider contract as cases, the same for every provider.
 * How to run it for a new one: providers/README.md, "The conformance suite".
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import fc from 'fast-check';
import {
  type Fit,
  type Instance,
  type InstanceTags,
  type LaunchRequest,
  LOG_BYTES,
  type Provider,
  ProviderError,
  type Shape,
  type ShapeWish,
} from '../../providers/provider.ts';
import { RegistryServer } from '../registry-server.ts';
import { type Ability, type Harness, isProcessAlive, type Lacks, type Program } from './harness.ts';
import { leaksOf } from './leaks.ts';
import { describeMisbehaving } from './misbehaving.ts';

/** As long as a real JIT configuration (about 4 KB), and as awkward as a secret may be. */
const SECRET = `s3cr3t-${randomBytes(3000).toString('base64')}-"quoted" $HOME 'x' \\ =`;
const PLAIN = 'plain "quoted" $HOME = ünï €';

const ODD_CHARGE = {
  'cost-centre': '4711',
  'Owner (e-mail)': 'Jörg Müller <joerg@example.org>',
  'kosten/stelle=€': 'a=b, c="d" \\ ${x} %s\ttab',
  empty: '',
  long: 'x'.repeat(200),
};

/**
 * `setup` runs once before the cases. It may call `this.skip()` in the sense of mocha by throwing SkipSuite:
 * then nothing is run, with the message as the reason.
 */
export class SkipSuite extends Error {}

export function describeConformance(name: string, lacks: Lacks, setup: () => Promise<Harness>): void {
  describe(`provider contract: ${name}`, () => {
    const dispatcher = `cf${randomBytes(3).toString('hex')}`;
    const other = `${dispatcher}x`;
    let harness: Harness;
    let count = 0;
    const opened: Provider[] = [];
    let launched: { provider: Provider; name: string }[] = [];

    before(async function () {
      try {
        harness = await setup();
      } catch (error) {
        if (!(error instanceof SkipSuite)) throw error;
        console.log(`      skipped: ${error.message}`);
        this.skip();
      }
    });

    afterEach(async () => {
      await Promise.all(launched.map(({ provider, name: instance }) => provider.stop({ name: instance })));
      launched = [];
      await Promise.all(opened.splice(0).map((provider) => provider.close()));
    });

    after(async () => {
      if (harness === undefined) return;
      const remains = await harness.remains(dispatcher);
      await harness.close();
      expect(remains, 'nothing may be left behind by the cases').to.deep.equal([]);
    });

    const nextName = (owner = dispatcher): string => {
      count += 1;
      return `${owner}-${String(count).padStart(4, '0')}`;
    };

    const open = async (program: Program): Promise<{ provider: Provider; image: string }> => {
      const backend = await harness.backend(program);
      opened.push(backend.provider);
      return backend;
    };

    /** A launch that is stopped after the case, whatever becomes of it. */
    const launchWith = (provider: Provider, request: LaunchRequest): Promise<Instance> => {
      launched.push({ provider, name: request.name });
      return provider.launch(request);
    };

    const start = async (
      program: Program,
      changes: Partial<LaunchRequest> = {},
    ): Promise<{ provider: Provider; request: LaunchRequest; instance: Instance }> => {
      const { provider, image } = await open(program);
      const request = requestFor(provider, image, nextName(), dispatcher, changes);
      return { provider, request, instance: await launchWith(provider, request) };
    };

    const eventually = async <T>(what: string, read: () => Promise<T>, done: (value: T) => boolean): Promise<T> => {
      const giveUpAt = Date.now() + harness.patienceMs;
      for (;;) {
        const value = await read();
        if (done(value)) return value;
        if (Date.now() > giveUpAt) throw new Error(`${what} did not come to pass; last seen: ${JSON.stringify(value)}`);
        await delay(20);
      }
    };

    const untilEnded = (provider: Provider, instance: string): Promise<Instance | undefined> =>
      eventually(
        `the end of ${instance}`,
        () => provider.inspect({ name: instance }),
        (seen) => seen?.state === 'succeeded' || seen?.state === 'failed',
      );

    const untilRunning = (provider: Provider, instance: string): Promise<Instance | undefined> =>
      eventually(
        `the start of ${instance}`,
        () => provider.inspect({ name: instance }),
        (seen) => seen?.state === 'running',
      );

    const ours = async (provider: Provider, owner = dispatcher): Promise<string[]> =>
      (await provider.list({ dispatcher: owner })).map((instance) => instance.ref.name).sort();

    /** A case that needs abilities; without one it is shown as pending, with the reason. */
    const able = (title: string, needs: readonly Ability[], run: () => Promise<void>): Mocha.Test => {
      const missing = needs.map((ability) => lacks[ability]).find((reason) => reason !== undefined);
      return it(missing === undefined ? title : `${title} (not here: ${missing})`, async function () {
        if (missing !== undefined) this.skip();
        await run();
      });
    };

    describe('launch', () => {
      it('gives an instance that is pending or running, under its name, with its tags', async () => {
        const { request, instance } = await start('sleeps');
        expect(instance.ref.name).to.equal(request.name);
        expect(instance.ref.id).to.be.a('string').and.not.equal('');
        expect(instance.state).to.be.oneOf(['pending', 'running']);
        expect(instance.tags).to.deep.equal(request.tags);
      });

      it('gives the same instance when it is repeated', async () => {
        const { provider, request, instance } = await start('sleeps');
        const again = await provider.launch(request);
        expect(again.ref).to.deep.equal(instance.ref);
        expect(await ours(provider)).to.deep.equal([request.name]);
      });

      it('gives that same instance also where the first was told that the name is new', async () => {
        const { provider, request, instance } = await start('sleeps', { nameIsNew: true });
        const again = await provider.launch({ ...request, nameIsNew: false });
        expect(again.ref).to.deep.equal(instance.ref);
        expect(await ours(provider)).to.deep.equal([request.name]);
        expect((await provider.inspect({ name: request.name }))?.ref).to.deep.equal(instance.ref);
      });

      it('gives one instance when five of one name arrive at once', async () => {
        const { provider, image } = await open('sleeps');
        const request = requestFor(provider, image, nextName(), dispatcher);
        const answers = await Promise.allSettled(Array.from({ length: 5 }, () => launchWith(provider, request)));
        const ids = new Set(answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.ref.id] : [])));
        expect(ids.size, 'ids').to.equal(1);
        for (const answer of answers) if (answer.status === 'rejected') expectKind(answer.reason, ['transient']);
        expect(await ours(provider)).to.deep.equal([request.name]);
      });

      it('gives one instance when two dispatcher processes launch one name at once', async () => {
        const [first, second] = [await open('sleeps'), await open('sleeps')];
        const request = requestFor(first.provider, first.image, nextName(), dispatcher);
        const answers = await Promise.allSettled([
          launchWith(first.provider, request),
          launchWith(second.provider, request),
        ]);
        const ids = new Set(answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.ref.id] : [])));
        expect(ids.size, 'ids').to.equal(1);
        expect(await ours(second.provider)).to.deep.equal([request.name]);
      });

      it('does not run an ended instance again', async () => {
        const { provider, request, instance } = await start('exits-zero');
        await untilEnded(provider, request.name);
        const again = await provider.launch(request);
        expect(again.ref.id).to.equal(instance.ref.id);
        expect((await provider.inspect(again.ref))?.state).to.equal('succeeded');
      });

      able(
        'says transient when the answer is lost, and a repeat finds the one instance',
        ['lost-answers'],
        async () => {
          const { provider, image } = await open('sleeps');
          const request = requestFor(provider, image, nextName(), dispatcher);
          const restore = await harness.loseNextAnswer();
          const error = await rejection(launchWith(provider, { ...request, nameIsNew: true })).finally(restore);
          expectKind(error, ['transient']);
          const seen = await eventually(
            'the instance of the lost answer',
            () => provider.inspect({ name: request.name }),
            (found) => found !== undefined,
          );
          const again = await provider.launch(request);
          expect(again.ref.id).to.equal(seen?.ref.id);
          expect(await ours(provider)).to.deep.equal([request.name]);
          await untilRunning(provider, request.name);
        },
      );

      able('finishes what a dispatcher began that died in between', ['half-launches'], async () => {
        const { provider, image } = await open('sleeps');
        const request = requestFor(provider, image, nextName(), dispatcher);
        await harness.halfLaunch('sleeps', request);
        expect((await provider.inspect({ name: request.name }))?.state).to.equal('pending');
        expect(await ours(provider), 'a half launch must not be forgotten').to.deep.equal([request.name]);
        await launchWith(provider, request);
        await untilRunning(provider, request.name);
        expect(await ours(provider)).to.deep.equal([request.name]);
      });

      able('lets stop take away a launch that nobody finishes', ['half-launches'], async () => {
        const { provider, image } = await open('sleeps');
        const request = requestFor(provider, image, nextName(), dispatcher);
        await harness.halfLaunch('sleeps', request);
        await provider.stop({ name: request.name });
        expect(await provider.inspect({ name: request.name })).to.equal(undefined);
      });

      able(
        'says conflict where something that is not ours has the name, and leaves it alone',
        ['foreign-names'],
        async () => {
          const { provider, image } = await open('sleeps');
          const request = requestFor(provider, image, nextName(), dispatcher);
          const foreign = await harness.foreign(request.name);
          try {
            expectKind(await rejection(provider.launch(request)), ['conflict']);
            expect(await provider.inspect({ name: request.name })).to.equal(undefined);
            expect(await provider.logs({ name: request.name })).to.equal(undefined);
            expect(await ours(provider)).to.deep.equal([]);
            await provider.stop({ name: request.name });
            expect(await foreign.isIntact(), 'the foreign thing').to.equal(true);
          } finally {
            await foreign.remove();
          }
        },
      );

      it('says conflict where another dispatcher has the name', async () => {
        const { provider, request, instance } = await start('sleeps');
        const theirs = { ...request, tags: { ...request.tags, dispatcher: other } };
        expectKind(await rejection(provider.launch(theirs)), ['conflict']);
        expect((await untilRunning(provider, instance.ref.name))?.ref).to.deep.equal(instance.ref);
      });

      it('refuses an image that does not exist, or tells that it cannot be pulled', async () => {
        const { provider, image } = await open('is-missing');
        const request = requestFor(provider, image, nextName(), dispatcher, { secretEnvironment: { SECRET } });
        const answer = await launchWith(provider, request).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (answer !== undefined) {
          expectKind(answer, ['invalid']);
          expect(leaksOf(errorText(answer), SECRET)).to.deep.equal([]);
          expect(await ours(provider), 'a definite refusal leaves nothing').to.deep.equal([]);
          return;
        }
        const seen = await eventually(
          'the failed pull',
          () => provider.inspect({ name: request.name }),
          (found) => found?.reason?.kind === 'image-pull-failed',
        );
        expect(seen?.state).to.be.oneOf(['pending', 'failed']);
      });

      it('refuses a name that is not one', async () => {
        const { provider, image } = await open('sleeps');
        for (const bad of ['', '../up', 'Upper', 'a b', 'a/b', '.hidden', '-dash', 'x'.repeat(64)]) {
          const request = requestFor(provider, image, bad, dispatcher);
          expectKind(await rejection(provider.launch(request)), ['invalid']);
        }
      });
    });

    describe('environment and secrets', () => {
      able('hands plain and secret environment to the program as they are', ['logs'], async () => {
        const { provider, request } = await start('shows-environment', {
          environment: { PLAIN },
          secretEnvironment: { SECRET },
        });
        await untilEnded(provider, request.name);
        const text = await eventually(
          'the output',
          () => provider.logs({ name: request.name }),
          (seen) => seen?.includes('characters') === true,
        );
        expect(text).to.include(`PLAIN=${PLAIN}`);
        expect(text).to.include(`SECRET has ${SECRET.length} characters`);
      });

      it('shows no secret in what launch, inspect and list answer', async () => {
        const { provider, request, instance } = await start('sleeps', { secretEnvironment: { SECRET } });
        const answers = [instance, await provider.inspect(instance.ref), await provider.list({ dispatcher })];
        const text = JSON.stringify(answers);
        expect(text).to.include(request.name);
        expect(leaksOf(text, SECRET)).to.deep.equal([]);
      });

      able('leaves no secret where others can read: raw list, command lines, URLs', ['public-traces'], async () => {
        const { provider, request, instance } = await start('sleeps', {
          environment: { PLAIN },
          secretEnvironment: { SECRET },
        });
        await untilRunning(provider, request.name);
        const traces = await harness.publicTraces(request.name);
        expect(traces, 'the traces must be of this instance').to.include(instance.ref.id).and.include(request.name);
        expect(leaksOf(traces, SECRET)).to.deep.equal([]);
      });
    });

    describe('inspect', () => {
      it('finds by name alone and by name and id', async () => {
        const { provider, request, instance } = await start('sleeps');
        expect((await provider.inspect({ name: request.name }))?.ref).to.deep.equal(instance.ref);
        expect((await provider.inspect(instance.ref))?.ref).to.deep.equal(instance.ref);
      });

      it('knows nothing of a name that was never launched', async () => {
        const { provider } = await open('sleeps');
        expect(await provider.inspect({ name: nextName() })).to.equal(undefined);
      });

      it('does not take a part of a name for the name, nor a longer one', async () => {
        const { provider, request, instance } = await start('sleeps');
        for (const near of [request.name.slice(0, -1), `${request.name}0`, `${request.name}-2`, `a${request.name}`]) {
          expect(await provider.inspect({ name: near }), near).to.equal(undefined);
          expect(await provider.logs({ name: near }), near).to.equal(undefined);
          await provider.stop({ name: near });
        }
        expect((await provider.inspect(instance.ref))?.ref).to.deep.equal(instance.ref);
        expect(await ours(provider)).to.deep.equal([request.name]);
        const head = instance.ref.id.slice(0, 12).toLowerCase();
        if (/^[a-z0-9][a-z0-9-]*$/.test(head)) expect(await provider.inspect({ name: head })).to.equal(undefined);
      });

      able('tells an exit with 0 as succeeded', ['exit-codes'], async () => {
        const { provider, request } = await start('exits-zero');
        const seen = await untilEnded(provider, request.name);
        expect(seen?.state).to.equal('succeeded');
        expect(seen?.reason).to.include({ kind: 'exited', exitCode: 0 });
      });

      able('tells any other exit as failed, with its code', ['exit-codes'], async () => {
        const { provider, request } = await start('exits-three');
        const seen = await untilEnded(provider, request.name);
        expect(seen?.state).to.equal('failed');
        expect(seen?.reason).to.include({ kind: 'exited', exitCode: 3 });
      });

      able('tells out of memory apart from other ends', ['memory-limit'], async () => {
        const { provider, request } = await start('takes-all-memory');
        const seen = await untilEnded(provider, request.name);
        expect(seen?.state).to.equal('failed');
        expect(seen?.reason?.kind).to.equal('out-of-memory');
      });

      able('never reads a state that it does not know as gone', ['unknown-states'], async () => {
        const { provider, request } = await start('sleeps');
        const restore = await harness.confuse(request.name);
        try {
          const seen = await provider.inspect({ name: request.name });
          expect(seen?.state).to.equal('unknown');
          expect(await ours(provider)).to.deep.equal([request.name]);
        } finally {
          await restore();
        }
      });
    });

    describe('list', () => {
      it('finds all pages, and only what is tagged with this dispatcher', async () => {
        const { provider, image } = await open('sleeps');
        const mine = Array.from({ length: harness.pageSize + 1 }, () => nextName());
        const theirs = nextName(other);
        await launchWith(provider, requestFor(provider, image, theirs, other));
        for (let index = 0; index < mine.length; index += 8) {
          await Promise.all(
            mine
              .slice(index, index + 8)
              .map((instance) => launchWith(provider, requestFor(provider, image, instance, dispatcher))),
          );
        }
        expect(await ours(provider)).to.deep.equal([...mine].sort());
        expect(await ours(provider, other)).to.deep.equal([theirs]);
      });

      it('is empty for a dispatcher that has none', async () => {
        const { provider } = await start('sleeps');
        expect(await ours(provider, `${dispatcher}-none`)).to.deep.equal([]);
        expect(await ours(provider, dispatcher.slice(0, -1)), 'a part of the id is another id').to.deep.equal([]);
      });

      it('shows ended instances too', async () => {
        const { provider, request } = await start('exits-three');
        await untilEnded(provider, request.name);
        const [listed] = await provider.list({ dispatcher });
        expect(listed?.ref.name).to.equal(request.name);
        expect(listed?.state).to.equal('failed');
      });

      it('gives each tag back as it was, odd characters and all', async () => {
        const name = nextName();
        const tags: InstanceTags = {
          dispatcher,
          registration: 'acme-web',
          lane: '0123456789abcdef',
          scope: 'orgs/acme',
          runner: name,
          createdAtMs: 1_790_000_000_123,
          deadlineAtMs: 1_790_432_000_456,
          charge: ODD_CHARGE,
        };
        const { provider } = await start('sleeps', { name, tags });
        const [listed] = await provider.list({ dispatcher });
        expect(listed?.tags).to.deep.equal(tags);
        const seen = await provider.inspect({ name });
        if (seen?.tags !== undefined) expect(seen.tags).to.deep.equal(tags);
      });

      it('gives the ids and names that inspect and stop take', async () => {
        const { provider } = await start('sleeps');
        const [listed] = await provider.list({ dispatcher });
        if (listed === undefined) throw new Error('nothing was listed');
        expect((await provider.inspect(listed.ref))?.ref).to.deep.equal(listed.ref);
        await provider.stop(listed.ref);
        expect(await ours(provider)).to.deep.equal([]);
      });
    });

    describe('stop', () => {
      it('takes what is absent for done', async () => {
        const { provider } = await open('sleeps');
        await provider.stop({ name: nextName() });
      });

      it('leaves nothing that inspect or list could see', async () => {
        const { provider, request, instance } = await start('sleeps');
        await provider.stop({ name: request.name });
        await eventually(
          'the end of the removal',
          () => provider.inspect({ name: request.name }),
          (seen) => seen === undefined,
        );
        expect(await provider.inspect(instance.ref)).to.equal(undefined);
        expect(await ours(provider)).to.deep.equal([]);
      });

      it('may be repeated, one after the other and at once', async () => {
        const { provider, instance } = await start('sleeps');
        await Promise.all([provider.stop(instance.ref), provider.stop(instance.ref), provider.stop(instance.ref)]);
        await provider.stop(instance.ref);
        expect(await ours(provider)).to.deep.equal([]);
      });

      it('removes what has ended by itself', async () => {
        const { provider, request } = await start('exits-three');
        await untilEnded(provider, request.name);
        await provider.stop({ name: request.name });
        expect(await ours(provider)).to.deep.equal([]);
      });

      it('leaves alone what has the id and another name, as inspect and logs do', async () => {
        const { provider, image } = await open('prints-and-sleeps');
        const [first, second] = [
          await launchWith(provider, requestFor(provider, image, nextName(), dispatcher)),
          await launchWith(provider, requestFor(provider, image, nextName(), dispatcher)),
        ];
        await untilRunning(provider, second.ref.name);
        for (const name of [first.ref.name, nextName()]) {
          const crossed = { name, id: second.ref.id };
          expect(await provider.inspect(crossed), 'inspect').to.equal(undefined);
          expect(await provider.logs(crossed), 'logs').to.equal(undefined);
          await provider.stop(crossed);
        }
        expect(await ours(provider)).to.deep.equal([first.ref.name, second.ref.name].sort());
        expect((await provider.inspect(first.ref))?.state).to.be.oneOf(['pending', 'running']);
        expect((await provider.inspect(second.ref))?.state).to.equal('running');
      });

      it('frees the name, and does not mix up the two that had it', async () => {
        const { provider, request, instance } = await start('sleeps');
        await provider.stop(instance.ref);
        const second = await launchWith(provider, request);
        expect(second.ref.id).to.not.equal(instance.ref.id);
        expect(await provider.inspect(instance.ref), 'the first').to.equal(undefined);
        await provider.stop(instance.ref);
        expect((await provider.inspect(second.ref))?.state, 'the second').to.be.oneOf(['pending', 'running']);
      });

      it('ends also a program that ignores SIGTERM', async () => {
        const { provider, request } = await start('ignores-sigterm');
        await untilRunning(provider, request.name);
        const pids = await eventually(
          'its process',
          () => harness.processesOf(request.name),
          (seen) => seen.length > 0,
        );
        await provider.stop({ name: request.name });
        await eventually(
          'the end of its processes',
          async () => pids.filter(isProcessAlive),
          (alive) => alive.length === 0,
        );
        await eventually(
          'the end',
          () => ours(provider),
          (names) => names.length === 0,
        );
      });

      able('ends the children with it, those in a session of their own too', ['process-tree'], async () => {
        const { provider, request } = await start('has-children');
        const pids = await eventually(
          'three children',
          () => harness.processesOf(request.name),
          (seen) => seen.length >= 4,
        );
        await provider.stop({ name: request.name });
        await eventually(
          'the end of all processes',
          async () => pids.filter(isProcessAlive),
          (alive) => alive.length === 0,
        );
      });

      able('ends children that their parent left behind', ['process-tree'], async () => {
        const { provider, request } = await start('leaves-children');
        await untilEnded(provider, request.name);
        await provider.stop({ name: request.name });
        expect(await harness.processesOf(request.name)).to.deep.equal([]);
      });
    });

    describe('logs', () => {
      able('can be read while it runs, both streams', ['logs', 'logs-while-running'], async () => {
        const { provider, request } = await start('prints-and-sleeps');
        const text = await eventually(
          'the output',
          () => provider.logs({ name: request.name }),
          (seen) => seen?.includes('and a warning') === true,
        );
        expect(text).to.include('hello from inside\n');
      });

      able('can be read after the end, by name and by id', ['logs'], async () => {
        const { provider, request, instance } = await start('prints-and-ends');
        await untilEnded(provider, request.name);
        const text = await eventually(
          'the output',
          () => provider.logs({ name: request.name }),
          (seen) => seen?.includes('and a warning') === true,
        );
        expect(await provider.logs(instance.ref)).to.equal(text);
        expect(text?.split('\n').sort()).to.deep.equal(['', 'and a warning', 'hello from inside']);
      });

      able('keep the end of much output, within 256 KB', ['logs', 'long-logs-after-the-end'], async () => {
        const { provider, request } = await start('prints-much');
        await untilEnded(provider, request.name);
        const text = await eventually(
          'the end of the output',
          () => provider.logs({ name: request.name }),
          (seen) => seen?.endsWith('the very last line\n') === true,
        );
        const bytes = Buffer.byteLength(text ?? '');
        expect(bytes)
          .to.be.at.most(LOG_BYTES)
          .and.at.least(LOG_BYTES / 2);
        const lines = (text ?? '').trimEnd().split('\n').slice(1, -1);
        const numbers = lines.map((line) => Number(line.replace(/^line /, '')));
        expect(
          numbers.every((number, index) => index === 0 || number === (numbers[index - 1] ?? 0) + 1),
          'no line is lost or doubled',
        ).to.equal(true);
      });

      it('are undefined for what is not there', async () => {
        const { provider, request } = await start('prints-and-ends');
        await provider.stop({ name: request.name });
        expect(await provider.logs({ name: request.name })).to.equal(undefined);
        expect(await provider.logs({ name: nextName() })).to.equal(undefined);
      });
    });

    describe('restart', () => {
      it('lets a new dispatcher find, read and stop what the old one launched', async () => {
        const { provider: old, instance } = await start('sleeps');
        await old.close();
        const { provider } = await open('sleeps');
        const [listed] = await provider.list({ dispatcher });
        expect(listed?.ref).to.deep.equal(instance.ref);
        expect((await untilRunning(provider, instance.ref.name))?.ref).to.deep.equal(instance.ref);
        await provider.stop(instance.ref);
        expect(await ours(provider)).to.deep.equal([]);
      });

      able('lets a new dispatcher read an exit that nobody watched', ['exit-codes'], async () => {
        const { provider: old, request } = await start('exits-three');
        await old.close();
        const { provider } = await open('exits-three');
        expect((await untilEnded(provider, request.name))?.reason?.exitCode).to.equal(3);
      });
    });

    describe('fit', () => {
      let provider: Provider;
      before(async () => {
        provider = (await harness.backend('sleeps')).provider;
      });
      after(() => provider?.close());

      const size = fc.option(
        fc.integer({ min: 1, max: 64_000 }).map((milli) => milli / 1000),
        { nil: undefined },
      );
      const wishes = fc.record({ cpu: size, memoryGiB: size }).map(
        ({ cpu, memoryGiB }): ShapeWish => ({
          ...plainWish(provider, 'image:1'),
          ...(cpu === undefined ? {} : { cpu }),
          ...(memoryGiB === undefined ? {} : { memoryGiB }),
        }),
      );

      it('is pure: the same wish gives the same answer, and stays as it was', () => {
        fc.assert(
          fc.property(wishes, (wish) => {
            const before = structuredClone(wish);
            expect(provider.fit(wish)).to.deep.equal(provider.fit(wish));
            expect(wish).to.deep.equal(before);
          }),
        );
      });

      it('gives at least what was wished, and the rest of the wish unchanged', () => {
        fc.assert(
          fc.property(wishes, (wish) => {
            const fit = provider.fit(wish);
            if (!fit.fits) {
              expect(fit.reason).to.match(/\w{3,}/);
              return;
            }
            expect(fit.shape.cpu).to.be.at.least(wish.cpu ?? 0);
            expect(fit.shape.memoryGiB).to.be.at.least(wish.memoryGiB ?? 0);
            const { cpu: _cpu, memoryGiB: _memory, ...rest } = fit.shape;
            const { cpu: _wishedCpu, memoryGiB: _wishedMemory, ...wishedRest } = wish;
            expect(rest).to.deep.equal(wishedRest);
          }),
        );
      });

      it('fits its own answer without a change', () => {
        fc.assert(
          fc.property(wishes, (wish) => {
            const fit = provider.fit(wish);
            if (fit.fits) expect(shapeOf(provider.fit(fit.shape))).to.deep.equal(fit.shape);
          }),
        );
      });

      it('never gives less for more', () => {
        fc.assert(
          fc.property(wishes, fc.integer({ min: 1, max: 8000 }), fc.integer({ min: 1, max: 8000 }), (wish, a, b) => {
            const small = provider.fit(wish);
            const large = provider.fit({
              ...wish,
              ...(wish.cpu === undefined ? {} : { cpu: wish.cpu + a / 1000 }),
              ...(wish.memoryGiB === undefined ? {} : { memoryGiB: wish.memoryGiB + b / 1000 }),
            });
            if (!small.fits || !large.fits) return;
            expect(large.shape.cpu).to.be.at.least(small.shape.cpu);
            expect(large.shape.memoryGiB).to.be.at.least(small.shape.memoryGiB);
          }),
        );
      });

      it('refuses nonsense, with a reason', () => {
        const nonsense = fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY, -0.5);
        const field = fc.constantFrom('cpu' as const, 'memoryGiB' as const, 'diskGiB' as const, 'timeLimitMs' as const);
        fc.assert(
          fc.property(field, nonsense, (key, value) => {
            const fit = provider.fit({ ...plainWish(provider, 'image:1'), [key]: value });
            expect(fit.fits).to.equal(false);
            if (!fit.fits) expect(fit.reason).to.match(/\w{3,}/);
          }),
        );
      });

      it('refuses what its capabilities say it cannot do, with a reason, and launch does too', async () => {
        const { capabilities } = provider;
        const wish = plainWish(provider, 'image:1');
        const beyond: [boolean, Partial<ShapeWish>][] = [
          [capabilities.spot, { spot: true }],
          [capabilities.dockerInDocker, { dockerInDocker: true }],
          [capabilities.disk, { diskGiB: 10 }],
          [capabilities.bucket, { bucket: 'cache', bucketPrefix: 'github.com/acme/web' }],
          [capabilities.subnet, { subnet: 'subnet-1' }],
          [capabilities.securityGroup, { securityGroup: 'sg-1' }],
          [capabilities.architectures.includes('arm64'), { architecture: 'arm64' }],
          [capabilities.architectures.includes('x64'), { architecture: 'x64' }],
        ];
        const { longestLifeMs } = capabilities;
        if (longestLifeMs !== undefined) beyond.push([false, { timeLimitMs: longestLifeMs + 1 }]);
        for (const [can, more] of beyond.filter(([able]) => !able)) {
          const fit = provider.fit({ ...wish, ...more });
          expect(fit.fits, `${JSON.stringify(more)} although ${can}`).to.equal(false);
          if (!fit.fits) expect(fit.reason).to.match(/\w{3,} \w/);
          // Whoever asks without `fit`: what cannot be must not start with less.
          const request = requestFor(provider, 'image:1', nextName(), dispatcher);
          const launch = launchWith(provider, { ...request, shape: { ...request.shape, ...more } });
          expectKind(await rejection(launch), ['invalid']);
        }
      });
    });

    describe('check and failures', () => {
      it('finds a good backend good', async () => {
        const { provider } = await open('sleeps');
        const findings = await provider.check();
        expect(findings).to.not.deep.equal([]);
        expect(findings.filter((finding) => !finding.ok)).to.deep.equal([]);
      });

      it('says something of an image whose registry does not answer, and does not reject', async () => {
        const { provider } = await open('sleeps');
        const images = [
          { reference: '127.0.0.1:1/nobody/listens:1', architectures: provider.capabilities.architectures },
        ];
        const findings = (await provider.check({ images })).filter(({ subject }) => subject === 'image');
        expect(findings).to.not.deep.equal([]);
        for (const { ok, cure } of findings) expect(cure === undefined).to.equal(ok);
      });

      able('tells whether an image is in its registry, and for what', ['looks-up-images'], async () => {
        const registry = await RegistryServer.start();
        try {
          registry.addIndex('acme/runner', '1', ['amd64', 'arm64']);
          const { provider } = await open('sleeps');
          const { architectures } = provider.capabilities;
          const at = `${registry.server}/acme/runner`;
          const images = ['1', '2'].map((tag) => ({ reference: `${at}:${tag}`, architectures }));
          const findings = (await provider.check({ images })).filter(({ subject }) => subject === 'image');
          expect(findings.map(({ ok }) => ok)).to.deep.equal([true, false]);
          expect(findings[0]?.message).to.equal(`${at}:1 is there, for x64, arm64`);
          expect(findings[1]?.message).to.include(`${at}:2 is not there`);
        } finally {
          await registry.close();
        }
      });

      it('names what is wrong with a service that cannot be reached, and the cure', async () => {
        const provider = await harness.unreachable();
        opened.push(provider);
        const bad = (await provider.check()).filter((finding) => !finding.ok);
        expect(bad).to.not.deep.equal([]);
        for (const finding of bad) {
          expect(finding.message).to.match(/\w{3,}/);
          expect(finding.cure).to.match(/\w{3,}/);
        }
      });
    });

    describeMisbehaving({
      dispatcher,
      secret: SECRET,
      harness: () => harness,
      able,
      start,
      nextName,
      requestFor: (provider, name, changes) => requestFor(provider, 'image:1', name, dispatcher, changes),
    });
  });
}

function plainWish(provider: Provider, image: string): ShapeWish {
  const architecture = provider.capabilities.architectures[0];
  if (architecture === undefined) throw new Error('a provider has at least one architecture');
  return { architecture, image, spot: false, dockerInDocker: false };
}

function requestFor(
  provider: Provider,
  image: string,
  name: string,
  dispatcher: string,
  changes: Partial<LaunchRequest> = {},
): LaunchRequest {
  return {
    name,
    shape: shapeOf(provider.fit({ ...plainWish(provider, image), cpu: 0.5, memoryGiB: 0.0625 })),
    tags: {
      dispatcher,
      registration: 'acme',
      lane: 'fedcba9876543210',
      scope: 'orgs/acme',
      runner: name,
      incarnation: '01kjwbsde82dnjxvg2mdpxr81q',
      createdAtMs: 1_790_000_000_000,
      deadlineAtMs: 1_790_000_600_000,
      charge: {},
    },
    environment: {},
    secretEnvironment: {},
    ...changes,
  };
}

function shapeOf(fit: Fit): Shape {
  if (!fit.fits) throw new Error(`does not fit: ${fit.reason}`);
  return fit.shape;
}

/** What it was refused with; an error where it was not. */
async function rejection(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`should have been refused, but gave ${JSON.stringify(value)}`);
}

function expectKind(error: unknown, kinds: readonly string[]): void {
  expect(error).to.be.instanceOf(ProviderError);
  if (error instanceof ProviderError) expect(error.kind, error.message).to.be.oneOf([...kinds]);
}

function errorText(error: unknown): string {
  return error instanceof Error ? `${error.message}\n${error.stack}\n${JSON.stringify(error)}` : String(error);
}
