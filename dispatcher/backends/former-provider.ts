/**
 * A backend whose configuration changed while runners live on it: perhaps another account, perhaps the same one with new
 * credentials. They are looked for with the present configuration first, and then with the earlier ones.
 */
import { type Instance, isProviderError, type Provider } from '../../providers/provider.ts';

/** `present`: undefined if the backend is not configured any more. `former`: at least one. */
export function withFormer(present: Provider | undefined, former: readonly Provider[]): Provider {
  const all = [...(present === undefined ? [] : [present]), ...former];
  const [first] = all;
  if (first === undefined) throw new Error('a backend without any configuration');
  return {
    capabilities: first.capabilities,
    fit: (wish) => first.fit(wish),
    launch: (request) => first.launch(request),
    list: (owner) => first.list(owner),
    check: () => first.check(),
    close: async () => {},
    async inspect(ref) {
      let found: Instance | undefined;
      const failures = await eachOf(all, async (provider) => {
        found ??= await provider.inspect(ref);
        return found !== undefined;
      });
      if (found === undefined) refuse(failures, all.length);
      return found;
    },
    async stop(ref) {
      refuse(await eachOf(all, (provider) => provider.stop(ref).then(() => false)), all.length);
    },
    async logs(ref) {
      let found: string | undefined;
      const failures = await eachOf(all, async (provider) => {
        found ??= await provider.logs(ref);
        return found !== undefined;
      });
      if (found === undefined) refuse(failures, all.length);
      return found;
    },
  };
}

/** Until one of them says that it is enough. Returns what failed. */
async function eachOf(
  all: readonly Provider[],
  ask: (provider: Provider) => Promise<boolean>,
): Promise<readonly unknown[]> {
  const failures: unknown[] = [];
  for (const provider of all) {
    try {
      if (await ask(provider)) break;
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}

/**
 * What could not be asked proves nothing, with one exception: credentials that no longer work are those that were
 * replaced, and what they reached is then known by the others alone.
 */
function refuse(failures: readonly unknown[], asked: number): void {
  const proving = failures.filter((error) => !(isProviderError(error) && error.kind === 'unauthorized'));
  const [first] = proving.length > 0 || failures.length === asked ? [...proving, ...failures] : [];
  if (first !== undefined) throw first;
}
