/** What the author of a workflow is told about a label that was written wrong. Each line was judged by a person. */
import { expect } from 'chai';
import { createAdmit } from '../../dispatcher/admission/admit.ts';
import { readLabel } from '../../dispatcher/labels/grammar.ts';
import { closedPolicy, registration } from '../registration-fixture.ts';

const own = registration({ labels: ['acme-runner', 'big', 'gpu-2'] });
const admit = createAdmit([own]);

/** Reason and cure of a job with these labels, in one text. */
function told(...labels: readonly string[]): string {
  const answer = admit({ host: 'github.com', owner: 'acme', repository: 'web', labels, visibility: 'private' });
  if (answer.outcome === 'lane') return 'a runner';
  return answer.outcome === 'refused' ? `${answer.reason} ${answer.cure}` : answer.reason;
}

const write = (label: string) => `Write \`${label}\`.`;
const meant = (label: string) => `did you mean \`${label}\`?`;
const cores = 'Write a number of cores, such as `cpu-2`.';
const gibibytes = 'Write a number of GiB, such as';
const duration = 'Write a duration, such as `timeout-90m`.';
const architectures = 'Write `arch-x64` or `arch-arm64`.';

// J6
const table: Readonly<Record<string, readonly (readonly [written: string, told: string])[]>> = {
  cores: [
    ['cpu--4', write('cpu-4')],
    ['cpu-.5', write('cpu-0.5')],
    ['cpu-4,5', write('cpu-4.5')],
    ['cpu-4.', write('cpu-4')],
    ['cpu-=4', write('cpu-4')],
    ['cpu-500m', write('cpu-0.5')],
    ['cpu-4c', write('cpu-4')],
    ['cpu-4vcpu', write('cpu-4')],
    ['cpu-4 cores', write('cpu-4')],
    ['cpu-', cores],
    ['cpu-0', cores],
    ['cpu-abc', cores],
    ['cpu-four', cores],
    ['cpu-1e3', cores],
    ['cpu-4-8', cores],
    ['cpu-2000', cores],
    ['cpu4', meant('cpu-4')],
    ['cpu_4', meant('cpu-4')],
    ['cpu=4', meant('cpu-4')],
    ['cpu:4', meant('cpu-4')],
    ['cpus-4', meant('cpu-4')],
    ['vcpu-4', meant('cpu-4')],
    ['cores-4', meant('cpu-4')],
    ['4cpu', meant('cpu-4')],
    ['4-cores', meant('cpu-4')],
    ['cup-4', meant('cpu-4')],
    ['vcpu-4c', meant('cpu-4')],
  ],
  memory: [
    ['memory--8', write('memory-8')],
    ['memory-8gb', write('memory-8')],
    ['memory-8GiB', write('memory-8')],
    ['memory-512MB', write('memory-0.5')],
    ['memory-4096MiB', write('memory-4')],
    ['memory-4000MB', write('memory-4')],
    ['memory-1TB', write('memory-1024')],
    ['memory-8192', 'Memory is in GiB: 8192 MiB are `memory-8`.'],
    ['memory-lots', gibibytes],
    ['memory-100k', gibibytes],
    ['mem-8', meant('memory-8')],
    ['memory8', meant('memory-8')],
    ['memroy-8', meant('memory-8')],
    ['ram-8', meant('memory-8')],
    ['mem-512MB', meant('memory-0.5')],
    ['8gb', meant('memory-8')],
  ],
  image: [
    ['image-node', meant('img-node')],
    ['image=node', meant('img-node')],
    ['img_node', meant('img-node')],
    ['img:node', meant('img-node')],
    ['img-', 'the value is empty'],
  ],
  disk: [
    ['disk--5', write('disk-5')],
    ['disk-100G', write('disk-100')],
    ['disk-1TB', write('disk-1024')],
    ['disk-1.5TB', write('disk-1536')],
    ['disk-512MB', write('disk-0.5')],
    ['disk-100-gb', write('disk-100')],
    ['disk-100k', gibibytes],
    ['disc-100', meant('disk-100')],
    ['storage-100', meant('disk-100')],
    ['bucket-build-cache', meant('disk-build-cache')],
  ],
  'time limit': [
    ['timeout-30min', write('timeout-30m')],
    ['timeout-2hours', write('timeout-2h')],
    ['timeout-90 mins', write('timeout-90m')],
    ['timeout-1h30', write('timeout-1h30m')],
    ['timeout-1h 30m', write('timeout-1h30m')],
    ['timeout-1.5h', write('timeout-1h30m')],
    ['timeout-PT90M', write('timeout-90m')],
    ['timeout--30m', write('timeout-30m')],
    ['timeout-90', write('timeout-90m')],
    ['timeout-3600', 'Write `timeout-3600m` or `timeout-3600s`.'],
    ['timeout-400000', write('timeout-400000s')],
    ['timeout-5s', write('timeout-1m')],
    ['timeout-9d', write('timeout-5d')],
    ['timeout-0', duration],
    ['timeout-soon', duration],
    ['timeout-1:30', duration],
    ['timeout-30m1h', duration],
    ['timeout90m', meant('timeout-90m')],
    ['timeout_30min', meant('timeout-30m')],
    ['time-limit-90m', meant('timeout-90m')],
  ],
  architecture: [
    ['arch-amd64', write('arch-x64')],
    ['arch-x86_64', write('arch-x64')],
    ['arch-aarch64', write('arch-arm64')],
    ['arch-arm', write('arch-arm64')],
    ['arch-i386', architectures],
    ['arch-armv7', architectures],
    ['arch-riscv', architectures],
    ['amd64', meant('x64')],
    ['aarch64', meant('arm64')],
    ['linux-x64', meant('x64')],
    ['architecture-arm64', meant('arch-arm64')],
  ],
  'the rest': [
    ['spot-true', meant('spot')],
    ['spots', meant('spot')],
    ['spot-onyl', meant('spot-only')],
    ['spot_never', meant('spot-never')],
    ['preemptible', meant('spot')],
    ['runs-on=77/cpu=4/ram=16/spot', meant('shr=77/cpu=4/memory=16/spot')],
    ['runs-on=77,image=a/b:1', meant('shr=77,image=a/b:1')],
    ['runs-on=77/cpu=4+16', 'neither its own nor an override'],
    ['docker-in-docker', meant('dind')],
    ['dind-true', meant('dind')],
    ['size-large', meant('shape-large')],
    ['region_eu', meant('region-eu')],
    ['security-group-sg-1', meant('sg-1')],
    ['vswitch-bp1', meant('vsw-bp1')],
    ['sid-', write('sid-${{ github.run_id }}')],
    ['sid-1,cpu-4', 'Write a YAML list: `runs-on: [sid-1, cpu-4]`.'],
    ['selfhosted', meant('self-hosted')],
    ['acme-runer', meant('acme-runner')],
    ['acme_runner', meant('acme-runner')],
    ['shr-1/cpu=4', meant('shr=1/cpu=4')],
    ['shr=1/vcpu=4', 'Did you mean `cpu`?'],
    ['shr=1/cpu-4', 'Did you mean `cpu=4`?'],
    ['shr=1;cpu=4', 'Separate by `/`, or by `,` throughout.'],
    ['shr=1/memory=512MB', write('memory=0.5')],
    ['shr=1/timeout=30min', write('timeout=30m')],
    ['shr=1/spot=true', 'Write `spot` alone, or leave it out.'],
    ['shr=1/spot=nevr', 'Did you mean `spot=never`?'],
    ['shr=1/spot-only', 'Did you mean `spot=only`?'],
    ['cpu-4 memory-8', 'Write a YAML list: `runs-on: [cpu-4, memory-8]`.'],
    ['cpu-4;memory-8', 'Write a YAML list: `runs-on: [cpu-4, memory-8]`.'],
    ['["big","cpu-4"]', 'with `fromJSON(…)` around it'],
    ['windows', 'runners here are Linux containers, not windows'],
    ['ubuntu-latest', '`ubuntu-latest` is a label of the runners that GitHub hosts'],
  ],
};

/** Near to an override by their letters, and meant for something else: the registration's labels are named instead. */
const nothingNear = ['cpi-4', 'biggest', 'spot-fleet', 'team-a', 'runner-42', 'memorial', 'imgnode', 'deploy'];

describe('a label that was written wrong', () => {
  for (const [what, lines] of Object.entries(table)) {
    for (const [written, words] of lines) {
      it(`(${what}) is cured by its meaning: ${written}`, () => {
        expect(told('acme-runner', written)).to.include(words);
      });
    }
  }

  for (const written of nothingNear) {
    it(`gets no guess where nothing is near: ${written}`, () => {
      expect(told('acme-runner', written)).to.match(/an override; its labels: `acme-runner`, `big`, `gpu-2`$/);
    });
  }

  it('gets no other number for the one it has: gpu-1 was meant neither for gpu-2 nor for cpu-2', () => {
    expect(told('acme-runner', 'gpu-1')).to.match(/an override; runners here have no GPUs$/);
    expect(told('acme-runner', 'shr=1/gpu=1')).to.include('Known are:').and.not.to.include('Did you mean');
  });

  it('is never told to write what would be refused as badly written again', () => {
    const all = Object.values(table).flatMap((lines) => lines.map(([written]) => written));
    expect(all.length).to.be.greaterThan(100);
    for (const written of all) {
      const cures = told('acme-runner', written).matchAll(/(?:Write|or|mean) `([^`[]+)`/g);
      for (const [, cure = ''] of cures) {
        const label = cure.includes('=') && !cure.startsWith('shr=') ? `shr=1/${cure}` : cure;
        const reading = readLabel(label);
        expect([written, cure, reading.kind]).not.to.include('malformed');
        if (reading.kind === 'one-label' && cure.includes('=')) expect(reading.mistakes).to.deep.equal([]);
      }
    }
  });

  it('that names a backend hears whether labels may choose one at all', () => {
    const closed = createAdmit([registration({ policy: closedPolicy })]);
    const job = { host: 'github.com', owner: 'acme', repository: 'web', visibility: 'private' } as const;
    const answer = closed({ ...job, labels: ['acme-runner', 'backend-x'] });
    expect(answer).to.include({
      outcome: 'refused',
      code: 'unknown-name',
      reason:
        '`backend-x` names a backend that registration `acme` does not have; labels may not choose among its backends',
    });
    expect(answer.outcome === 'refused' && answer.cure).to.match(/^Remove `backend-x`, or ask .* `policy.backends`\.$/);
    expect(told('acme-runner', 'backend-x')).to.include('it has `main`');
  });

  it('is cured label by label where several are wrong', () => {
    expect(told('acme-runner', 'mem-4', 'disc-100')).to.include(
      'did you mean `memory-4` for `mem-4`, `disk-100` for `disc-100`?',
    );
  });
});

describe('a job that no label brings here', () => {
  // J2, 11a
  it('with a runner group alone is told to add a label', () => {
    expect(told())
      .to.include('`runs-on: group:`')
      .and.include('`runs-on: {group: …, labels: [acme-runner]}`')
      .and.not.include('none)');
  });

  // J3
  for (const written of ['acme-runner,cpu-4', 'label1,cpu-4', 'cpu-4,memory-8', 'cpu-4, label1', 'a,b']) {
    it(`with one label that holds commas is told to write a list: ${written}`, () => {
      const list = written.split(',').map((part) => part.trim());
      expect(told(written)).to.include(
        `a comma does not separate labels. Write a YAML list: \`runs-on: [${list.join(', ')}]\`.`,
      );
    });
  }

  it('with one label that holds very many is shown the first ten of the list, and no more than 200 characters', () => {
    const many = Array.from({ length: 12 }, (_, index) => `l${index}`);
    expect(told(many.join(','))).to.include(`\`runs-on: [${many.slice(0, 10).join(', ')}]\``);
    const long = Array.from({ length: 8 }, (_, index) => `${index}${'x'.repeat(29)}`);
    expect(told(long.join(','))).to.include(`\`runs-on: [${long.join(', ').slice(0, 200)}]\``);
  });

  for (const written of ['acme-runner cpu-4', 'acme-runner/cpu-4', 'acme-runner;big', 'self-hosted+big']) {
    it(`with labels joined otherwise is told so too: ${written}`, () => {
      expect(told(written)).to.include('does not separate labels. Write a YAML list');
    });
  }

  it('with built-in labels alone is told that every self-hosted runner has them', () => {
    expect(told('self-hosted', 'linux', 'x64'))
      .to.include('every self-hosted runner has')
      .and.include('`acme-runner`, `big`');
  });

  it('with overrides alone is told that they bring no job here', () => {
    expect(told('self-hosted', 'cpu-4', 'spot')).to.include('describe the runner, but do not say that it belongs here');
  });

  it('with the one-label form alone is told so too, and nothing of its commas, which belong there', () => {
    expect(told('shr=1,cpu=4'))
      .to.include('describe the runner, but do not say that it belongs here')
      .and.not.include('does not separate');
  });
});
