/** The commands that docs/install.md tells a user to type. */
import { join } from 'node:path';

export const INSTALL = join(import.meta.dirname, '..', '..', 'docs', 'install.md');

/** One line each, also where the page breaks them. */
export function commandsIn(page: string): readonly string[] {
  return [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block = '']) =>
    block
      .replaceAll(/ *\\\n */g, ' ')
      .split('\n')
      .filter((line) => line !== ''),
  );
}

export function yamlIn(page: string): readonly string[] {
  return [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, block = '']) => block);
}
