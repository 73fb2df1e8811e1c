#!/usr/bin/env node
/**
 * Starts shr.ts with Node's compile cache: half of what a start costs is stripping types and compiling. JavaScript,
 * because stripping this one file would load the stripper, which none of the others needs once they are in the cache.
 */
import * as nodeModule from 'node:module';
import { join } from 'node:path';

// `engines` of package.json, which nobody enforces. An older Node would fail at some import, in words that do not tell.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 9)) {
  console.error(
    `shr: Node ${process.versions.node} at ${process.execPath} is too old. Take 24.9 or later: in a clone, \`make deps\` installs node_modules/.bin/node; for an image, \`BASE=\` of \`make dispatcher-image\` names one that has it.`,
  );
  process.exitCode = 2;
} else {
  // Beside the packages: those who can write there can change the program itself. Without effect where it is read-only.
  nodeModule.enableCompileCache(join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'compiled'));
  await import('./shr.ts');
}
