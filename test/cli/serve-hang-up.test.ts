import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { shr } from './process.ts';

/** Sends SIGHUP to the process as soon as it lists registrations. */
const HANG_UP_WHILE_READING = `
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
const { readdir } = fs;
fs.readdir = async (path, ...more) => {
  if (String(path).endsWith('registrations')) {
    process.stderr.write('hung up\\n');
    process.kill(process.pid, 'SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return readdir(path, ...more);
};
syncBuiltinESMExports();
`;

describe('shr serve that receives SIGHUP', () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shr-hang-up-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('is not ended by it while it reads the configuration', async () => {
    await writeFile(join(folder, 'dispatcher.yaml'), 'id: NOT VALID\n');
    await mkdir(join(folder, 'registrations'));
    await writeFile(join(folder, 'preload.mjs'), HANG_UP_WHILE_READING);
    const preload = `--import=${join(folder, 'preload.mjs')}`;
    const { code, error } = await shr(['serve'], folder, { NODE_OPTIONS: preload });
    expect(error)
      .to.include('hung up')
      .and.to.match(/dispatcher\.yaml:1:5/);
    expect(code).to.equal(1);
  });
});
