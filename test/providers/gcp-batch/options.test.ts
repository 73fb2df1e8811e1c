import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import gcpBatchModule from '../../../providers/gcp-batch/index.ts';
import { gcpBatchOptions } from '../../../providers/gcp-batch/options.ts';
import { plainOptions } from './requests.ts';

function problems(options: object): string {
  const parsed = gcpBatchModule.options.safeParse({ ...plainOptions, ...options });
  return parsed.success
    ? ''
    : parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join('; ');
}

describe('gcp-batch options', () => {
  it('need a project, a region and an account for the machines, and nothing else', () => {
    expect(problems({})).to.equal('');
    for (const key of ['project', 'region', 'serviceAccount']) expect(problems({ [key]: undefined })).to.include(key);
  });

  const refused: readonly [object, RegExp][] = [
    [{ colour: 'red' }, /colour/],
    [{ project: 'My Project' }, /id of the project/],
    [{ region: 'europe-west4-a' }, /without a zone/],
    [{ zones: ['europe-west4'] }, /such as europe-west4-a/],
    [{ zones: ['us-central1-a'] }, /zones\.0 is not in europe-west4/],
    [{ serviceAccount: 'me@example.org' }, /e-mail of a service account/],
    [{ credentials: '{"type":"authorized_user"}' }, /application-default/],
    [{ machineSeries: 't2a-standard' }, /machineSeries/],
    [{ armMachineSeries: 'e2-standard' }, /armMachineSeries/],
    [{ machineType: { name: 'x9-mega-3' } }, /give its cpu and memoryGiB/],
    [{ machineType: { name: 'e2-standard-2', cpu: 4 } }, /e2-standard-2 has 2/],
    [{ machineType: { name: 'e2-standard-2', memoryGiB: 4 } }, /e2-standard-2 has 8/],
    [{ machineType: { name: 't2a-standard-2', architecture: 'x64' } }, /t2a-standard-2 is arm64/],
    [{ machineType: { name: 'e2-standard-2' }, armMachineSeries: 't2a-standard' }, /not both/],
    [{ registryAuth: { server: 'ghcr.io', username: 'u', passwordSecret: 'hunter2' } }, /would show in the job/],
    [{ command: [] }, /command/],
    [{ workFolder: 'relative' }, /absolute path/],
    [{ workFolder: '/a:b' }, /colon/],
    [{ network: 'a/b' }, /network/],
    [{ networkTags: ['A'] }, /network tag/],
    [{ endpoint: 'http://batch.example' }, /only for this machine/],
    [{ loggingEndpoint: 'ftp://127.0.0.1' }, /https/],
    // The dispatcher's own token is for Google alone, not for whatever listens on this machine.
    [{ endpoint: 'http://127.0.0.1:1' }, /^credentials application-default may only be sent to Google/],
    [{ loggingEndpoint: 'http://127.0.0.1:1' }, /^credentials application-default may only be sent to Google/],
    [{ computeEndpoint: 'http://localhost:1' }, /^credentials application-default may only be sent to Google/],
    [{ kmsEndpoint: 'http://localhost:1' }, /^credentials application-default may only be sent to Google/],
    [{ encryptionKey: 'my-key' }, /^encryptionKey write projects/],
    [{ machineSeries: 'c3-highcpu', diskType: 'pd-standard' }, /^diskType c3 supports pd-balanced and pd-ssd only/],
    [{ machineType: { name: 'c3-standard-4' }, diskType: 'pd-standard' }, /^diskType c3 supports/],
  ];
  for (const [options, message] of refused) {
    it(`refuse ${JSON.stringify(options)}`, () => {
      expect(problems(options)).to.match(message);
    });
  }

  it('stand in the README, every one', async () => {
    const readme = await readFile(new URL('../../../providers/gcp-batch/README.md', import.meta.url), 'utf8');
    const table = readme.slice(readme.indexOf('## Options'), readme.indexOf('## Sizes'));
    const names = Object.keys(gcpBatchOptions.shape);
    expect(names.length).to.be.greaterThan(20);
    expect(names.filter((name) => !table.includes(`\`${name}\``))).to.deep.equal([]);
  });

  it('never repeat a password in what they refuse', () => {
    expect(problems({ registryAuth: { username: 'u', passwordSecret: 'hunter2' } })).to.not.include('hunter2');
    expect(problems({ credentials: 'hunter2' })).to.not.include('hunter2');
  });
});
