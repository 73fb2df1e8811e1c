/**
 * Runs spec files whenever the parent process asks, in one process: the project's own modules are loaded anew each time,
 * one of them with other text, and the dependencies are not. A run costs what its tests cost, not the start of mocha.
 */
import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import Mocha from 'mocha';
import { type Outcome, order } from './workshop.ts';

const MOCHA_TIMEOUT_MS = 20_000;

let run = 0;
let change: { readonly url: string; readonly text: string } | undefined;
const unchanged = new Map<string, string>();

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const [url = ''] = found.url.split('?');
    if (!url.startsWith('file:') || url.includes('/node_modules/') || !url.endsWith('.ts')) return found;
    return { ...found, url: `${url}?run=${run}`, format: 'module' };
  },
  load(requested, context, next) {
    const [url = '', query = ''] = requested.split('?');
    if (!query.startsWith('run=')) return next(requested, context);
    if (url === change?.url) return { format: 'module', source: change.text, shortCircuit: true };
    const source = unchanged.get(url) ?? stripTypeScriptTypes(readFileSync(fileURLToPath(url), 'utf8'));
    unchanged.set(url, source);
    return { format: 'module', source, shortCircuit: true };
  },
});

/** Notes what each file takes. */
async function runSpecs(specs: readonly string[]): Promise<Outcome> {
  const durations: Record<string, number> = {};
  const mocha = new Mocha({ bail: true, timeout: MOCHA_TIMEOUT_MS, reporter: 'min' });
  for (const spec of specs) {
    const { href } = pathToFileURL(spec);
    const path = fileURLToPath(href);
    mocha.suite.emit('pre-require', globalThis, path, mocha);
    await import(href);
    mocha.suite.emit('post-require', globalThis, path, mocha);
  }
  let failure: string | undefined;
  const failures = await new Promise<number>((resolve) => {
    mocha
      .run(resolve)
      .on('test end', ({ file, duration = 0 }) => {
        const spec = relative(process.cwd(), file ?? '');
        durations[spec] = (durations[spec] ?? 0) + duration;
      })
      .on('fail', (test, { message }) => {
        failure ??= `${test.fullTitle()}: ${message}`;
      });
  });
  return { passed: failures === 0, failure, durations };
}

async function obey(message: unknown): Promise<Outcome> {
  const asked = order.parse(message);
  run += 1;
  try {
    change = asked.change && {
      url: pathToFileURL(asked.change.path).href,
      text: stripTypeScriptTypes(asked.change.text),
    };
    return await runSpecs(asked.specs);
  } catch {
    // It cannot even be loaded.
    return { passed: false, durations: {} };
  }
}

// What a broken module leaves behind must not end the runs after it.
process.on('uncaughtException', () => {});
process.on('unhandledRejection', () => {});
process.on('message', (message) => void obey(message).then((answer) => process.send?.(answer)));
