/** Secrets that a test knows, looked for wherever they must not be. */
import { readdir, readFile } from 'node:fs/promises';

export interface Canary {
  readonly name: string;
  readonly text: string;
}

/** The lines of a PEM text that tell something. */
export function keyCanaries(name: string, pem: string): readonly Canary[] {
  return pem
    .split('\n')
    .filter((line) => line.length >= 60)
    .map((text) => ({ name, text }));
}

/** Of a long text, pieces, so that a cut is found as well. */
export function piecesOf(name: string, text: string): readonly Canary[] {
  return [0, 0.3, 0.6].map((at) => {
    const start = Math.floor(at * text.length);
    return { name: `${name} from ${start}`, text: text.slice(start, start + 32) };
  });
}

export function found(canaries: readonly Canary[], place: string, text: string): readonly string[] {
  const names = canaries.filter((canary) => text.includes(canary.text)).map(({ name }) => name);
  // Installation tokens live in the dispatcher's memory alone: any is one too many.
  if (/gh[oprsu]_[A-Za-z0-9]{16,}/.test(text)) names.push('a token of GitHub');
  return names.map((name) => `${name} in ${place}`);
}

/** Every command line of the machine, its containers' among them, that can be read now. */
async function commandLines(): Promise<string> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = processes.map((id) => readFile(`/proc/${id}/cmdline`, 'latin1').catch(() => ''));
  return (await Promise.all(lines)).join('\n');
}

/** Looks at all command lines ten times a second. Returns what ends it, and tells what it found. */
export function watchCommandLines(canaries: () => Promise<readonly Canary[]>): () => Promise<readonly string[]> {
  const findings: string[] = [];
  let watching = true;
  const watch = (async () => {
    while (watching) {
      const lines = await commandLines();
      findings.push(...found(await canaries(), 'a command line', lines));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  return async () => {
    watching = false;
    await watch;
    return [...new Set(findings)];
  };
}
