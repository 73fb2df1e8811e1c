import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const CLI = join(import.meta.dirname, '..', '..', 'dispatcher', 'cli', 'shr.mjs');

describe('shr under an older Node', () => {
  it('says which one it needs, and where to get it', async () => {
    const older = "data:text/javascript,Object.defineProperty(process.versions, 'node', { value: '20.1.0' })";
    const failed = await promisify(execFile)(process.execPath, ['--import', older, CLI, '--version']).catch(
      (error: { code: number; stderr: string }) => error,
    );
    expect(failed).to.deep.include({ code: 2 });
    expect(failed.stderr).to.match(/^shr: Node 20\.1\.0 at \S+ is too old\. Take 24\.9 or later: .*make deps.*\n$/);
  });
});
