import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const ROOT = join(import.meta.dirname, '..', '..');
const scripts = globSync(
  ['runner-image/{scripts,build}/*', 'demo/*.sh', 'simulators/github/runner-release/{*.sh,*.template,bin/*}'],
  { cwd: ROOT },
).sort();

describe('the shell scripts of the runner image', function () {
  this.timeout(60_000);

  it('are clean for shellcheck', async function () {
    const version = await promisify(execFile)('shellcheck', ['--version']).catch(() => undefined);
    if (version === undefined) {
      if (process.env['CI'] !== undefined) throw new Error('CI requires shellcheck');
      console.warn('    shellcheck is not installed: the scripts are not checked');
      this.skip();
    }
    expect(scripts.length).to.be.above(20);
    // A template has no ending that names its shell.
    const { stdout } = await promisify(execFile)('shellcheck', ['-x', '-P', 'SCRIPTDIR', ...scripts], {
      cwd: ROOT,
    }).catch((error: { stdout: string }) => error);
    expect(stdout).to.equal('');
  });

  it('are POSIX sh where they run in the image', () => {
    for (const script of scripts.filter((path) => path.startsWith('runner-image/'))) {
      const [first] = readFileSync(join(ROOT, script), 'utf8').split('\n');
      expect(first, script).to.be.oneOf(['#!/bin/sh', '# shellcheck shell=sh']);
    }
  });
});
