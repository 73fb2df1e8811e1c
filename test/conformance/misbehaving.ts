/** The cases in which the service itself misbehaves. None of it may be read as "gone", "empty" or "done". */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import {
  type Instance,
  type InstanceRef,
  type LaunchRequest,
  type Provider,
  ProviderError,
} from '../../providers/provider.ts';
import type { Ability, Harness, Misbehaving, Program } from './harness.ts';
import { leaksOf } from './leaks.ts';

/** What the cases of the suite share. */
export interface SuiteContext {
  readonly dispatcher: string;
  readonly secret: string;
  harness(): Harness;
  able(title: string, needs: readonly Ability[], run: () => Promise<void>): Mocha.Test;
  start(program: Program): Promise<{ readonly provider: Provider; readonly instance: Instance }>;
  nextName(): string;
  requestFor(provider: Provider, name: string, changes?: Partial<LaunchRequest>): LaunchRequest;
}

/** Twice the limit that a silent provider may have, on a machine with much else to do. */
const SETTLES_WITHIN_MS = 12_000;

export function describeMisbehaving(context: SuiteContext): void {
  const { able, start, nextName, requestFor, dispatcher, secret } = context;

  /** Every call that could be answered with "there is nothing": by name, and by the id of an instance that runs. */
  function looks(provider: Provider, ref: InstanceRef): Readonly<Record<string, () => Promise<unknown>>> {
    const name = { name: ref.name };
    return {
      'inspect by name': () => provider.inspect(name),
      'inspect by id': () => provider.inspect(ref),
      'logs by name': () => provider.logs(name),
      'logs by id': () => provider.logs(ref),
      'stop by name': () => provider.stop(name),
      'stop by id': () => provider.stop(ref),
      list: () => provider.list({ dispatcher }),
    };
  }

  const launches = (provider: Provider): Readonly<Record<string, () => Promise<unknown>>> => ({
    'launch of a new name': () => provider.launch(requestFor(provider, nextName(), { nameIsNew: true })),
    'launch of a name that may be known': () => provider.launch(requestFor(provider, nextName())),
  });

  /** What each call was refused with: its kind, or what it did instead. All at once, as many runners would ask. */
  async function outcomes(calls: Readonly<Record<string, () => Promise<unknown>>>): Promise<Record<string, string>> {
    const entries = Object.entries(calls).map(async ([what, call]) => {
      const late = new AbortController();
      const outcome = call().then(
        (value) => `answered ${JSON.stringify(value)}`,
        (error: unknown) => (error instanceof ProviderError ? error.kind : `threw ${String(error)}`),
      );
      const patience = delay(SETTLES_WITHIN_MS, 'did not settle', { signal: late.signal }).catch(() => 'settled');
      const first = await Promise.race([outcome, patience]);
      late.abort();
      return [what, first] as const;
    });
    return Object.fromEntries(await Promise.all(entries));
  }

  function expectOnly(seen: Readonly<Record<string, string>>, kinds: readonly string[]): void {
    const others = Object.entries(seen).filter(([, outcome]) => !kinds.includes(outcome));
    expect(Object.fromEntries(others), `all must be ${kinds.join(' or ')}`).to.deep.equal({});
  }

  /** With a running instance, which must come through unharmed. */
  async function against(
    open: () => Promise<Misbehaving>,
    judge: (provider: Provider, ref: InstanceRef) => Promise<void>,
  ): Promise<void> {
    const { provider: well, instance } = await start('sleeps');
    const { provider, end } = await open();
    try {
      await judge(provider, instance.ref);
    } finally {
      await end();
      await provider.close();
    }
    expect((await well.inspect(instance.ref))?.ref, 'what ran before').to.deep.equal(instance.ref);
  }

  describe('a service that misbehaves', () => {
    it('and cannot be reached is not taken for an empty one, by name or by id', async () => {
      const unreachable = async () => ({ provider: await context.harness().unreachable(), end: async () => {} });
      await against(unreachable, async (provider, ref) => {
        expectOnly(await outcomes({ ...looks(provider, ref), ...launches(provider) }), ['transient', 'unauthorized']);
      });
    });

    able('and takes the connection and says nothing is given up in time', ['a-service'], async () => {
      await against(
        () => context.harness().silent(),
        async (provider, ref) => {
          // It may have taken effect: nothing but transient leaves that open.
          expectOnly(await outcomes({ ...looks(provider, ref), ...launches(provider) }), ['transient']);
          const findings = await provider.check();
          expect(findings.filter(({ ok }) => !ok)).to.not.deep.equal([]);
        },
      );
    }).timeout(4 * SETTLES_WITHIN_MS);

    able('and refuses for want of a permission has not said that anything is gone', ['a-service'], async () => {
      await against(
        () => context.harness().refuses(403, 'The caller does not have permission.'),
        async (provider, ref) => {
          expectOnly(await outcomes({ ...looks(provider, ref), ...launches(provider) }), ['unauthorized']);
        },
      );
    });

    able('and fails in a way that nobody has described may have done it', ['a-service'], async () => {
      await against(
        () => context.harness().refuses(500, 'Something new went wrong.'),
        async (provider, ref) => {
          expectOnly(await outcomes({ ...looks(provider, ref), ...launches(provider) }), ['transient']);
        },
      );
    });

    for (const status of [403, 404, 502]) {
      able(`and is not there, but something that answers ${status} in its place`, ['a-service'], async () => {
        await against(
          () => context.harness().intercepted(status),
          async (provider, ref) => {
            // Whatever answered, it knows nothing of images, shapes and names.
            expectOnly(await outcomes({ ...looks(provider, ref), ...launches(provider) }), [
              'transient',
              'unauthorized',
            ]);
          },
        );
      });
    }

    able('and repeats in its words what it was given does not make the secret known', ['a-service'], async () => {
      for (const status of [400, 500] as const) {
        await against(
          () => context.harness().refuses(status, `this is wrong: {"SECRET":"${secret}"}, or SECRET=${secret}`),
          async (provider) => {
            // A new name is made without a look: the first call is the one that carries the secret.
            const changes = { nameIsNew: true, secretEnvironment: { SECRET: secret } };
            const request = requestFor(provider, nextName(), changes);
            const error: unknown = await provider.launch(request).catch((reason: unknown) => reason);
            if (!(error instanceof ProviderError)) throw new Error(`it was not refused, but gave ${String(error)}`);
            expect(error.kind).to.equal(status === 400 ? 'invalid' : 'transient');
            expect(leaksOf(shown(error), secret)).to.deep.equal([]);
          },
        );
      }
    });
  });
}

/** All of an error that a log may print, its causes too. */
function shown(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = `${error.message}\n${error.stack}\n${JSON.stringify(error)}`;
  return error.cause === undefined ? own : `${own}\n${shown(error.cause)}`;
}
