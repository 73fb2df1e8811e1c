import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAppAuth } from '@octokit/auth-app';
import { Octokit } from '@octokit/rest';
import { expect } from 'chai';

const cli = fileURLToPath(new URL('../../../simulators/cli.ts', import.meta.url));

describe('simulators github (command line)', function () {
  this.timeout(10_000);

  it('starts, prints where it is and where the keys are, and stops on SIGTERM', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'simulator-keys-'));
    const keys = path.join(folder, 'not', 'there-yet');
    const child = spawn(process.execPath, [cli, 'github', '--port', '0', '--keys', keys, '--organization', 'initech'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    await new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (part: Buffer) => {
        text += part.toString();
        if (text.includes('push ')) resolve();
      });
      child.once('exit', () => reject(new Error(`ended early: ${text}`)));
    });
    const baseUrl = /^url\s+(\S+)/m.exec(text)?.[1] ?? '';
    const appId = /id (\d+), key in/.exec(text)?.[1] ?? '';
    const keyFile = /key in (\S+)/.exec(text)?.[1] ?? '';
    expect(statSync(keyFile).mode & 0o777).to.equal(0o600);
    expect(statSync(keys).mode & 0o777).to.equal(0o700);
    const auth = { appId, privateKey: readFileSync(keyFile, 'utf8') };
    const octokit = new Octokit({ baseUrl, authStrategy: createAppAuth, auth });
    expect((await octokit.apps.getOrgInstallation({ org: 'initech' })).data.app_id).to.equal(Number(appId));
    const admin = new Octokit({ baseUrl, auth: readFileSync(path.join(keys, 'token'), 'utf8').trim() });
    expect((await admin.repos.get({ owner: 'initech', repo: 'web' })).status).to.equal(200);
    expect(text).to.not.include(readFileSync(path.join(keys, 'token'), 'utf8').trim());
    const ended = new Promise((resolve) => {
      child.once('exit', resolve);
    });
    child.kill('SIGTERM');
    expect(await ended).to.equal(0);
    rmSync(folder, { recursive: true });
  });
});
