import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';

const at = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);

/** All that is loaded before `shr serve` listens: our modules, packages, and what is built into Node. */
async function loadedAtStart(): Promise<readonly string[]> {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    for (const path of [${at('dispatcher/cli/use-proxy.ts')}, ${at('dispatcher/cli/serve.ts')}]) await import(path);
    console.log(JSON.stringify([...loaded, ...process.moduleLoadList]));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  const loaded: readonly string[] = JSON.parse(stdout);
  return loaded;
}

describe('the start of `shr serve`', () => {
  let loaded: readonly string[];

  before(async () => {
    loaded = await loadedAtStart();
  });

  for (const [what, pattern, why] of [
    ['undici', /deps\/undici\/undici$/, 'an import of node:http does: take process.getBuiltinModule'],
    ['express', /node_modules\/express\//, 'dispatcher/http/admin-app.ts is imported after the start'],
    ['an SDK of a cloud', /node_modules\/@(?:alicloud|azure|google-cloud|grpc)\//, 'a registration that names it does'],
    ['node-cron', /node_modules\/node-cron\//, 'dispatcher/versions/daily.ts is called after the start'],
    ['jose', /node_modules\/jose\//, 'the first token of an App does'],
    [
      "Octokit's list of methods",
      /node_modules\/@octokit\/(?:core|rest|plugin)/,
      'calls name their routes: take @octokit/request',
    ],
    ['the simulators', /\/simulators\//, 'only the demo uses them'],
  ] as const) {
    it(`does not wait for ${what}`, () => {
      expect(
        loaded.filter((name) => pattern.test(name)),
        why,
      ).to.deep.equal([]);
    });
  }

  it('loads the dispatcher, which this test would otherwise say of nothing', () => {
    expect(loaded.some((name) => name.endsWith('/dispatcher/main.ts'))).to.equal(true);
  });
});
