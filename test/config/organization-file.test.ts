import { expect } from 'chai';
import { ORGANIZATION_FILE_BYTES, readOrganizationFile } from '../../dispatcher/config/organization-file.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';

const FILE = 'acme/.github-private/shr.yaml';

async function problems(text: string): Promise<readonly string[]> {
  const read = await readOrganizationFile(FILE, text);
  return read.ok ? [] : read.problems.map(formatProblem);
}

describe('shr.yaml of an organization', () => {
  it('is read with the place of each field, and with the hash that git gives it', async () => {
    const text =
      'policy:\n  maxCpu: 8\n  maxTimeout: 2h\n  forks: false\ndefaults: { cpu: 2, timeLimit: 1h }\nmaxRunnersPerRun: 20\n';
    const read = await readOrganizationFile(FILE, text);
    if (!read.ok) throw new Error(read.problems.map(formatProblem).join('\n'));
    const { blob, defaults, maxRunnersPerRun, places, policy } = read.file;
    expect(policy).to.deep.equal({ maxCpu: 8, maxTimeLimitMs: 7_200_000, forks: false });
    expect(defaults).to.deep.equal({ cpu: 2, timeLimitMs: 3_600_000 });
    expect(maxRunnersPerRun).to.equal(20);
    expect(places).to.include({
      'policy.maxCpu': `${FILE}:2:3`,
      'policy.maxTimeout': `${FILE}:3:3`,
      maxRunnersPerRun: `${FILE}:6:1`,
    });
    expect(blob, 'git hash-object').to.match(/^[0-9a-f]{40}$/);
    const empty = await readOrganizationFile(FILE, '{}');
    expect(empty.ok && empty.file.blob).to.equal('9e26dfeeb6e641a33dae4961196235bdb965b21b');
  });

  it('says of an unknown field which was meant, and has none that could allow anything', async () => {
    const [misspelt] = await problems('policy: { maxCpuu: 8 }');
    expect(misspelt).to.match(
      new RegExp(`^${FILE.replaceAll('.', '\\.')}:1:11: policy\\.maxCpuu: .*Did you mean \`maxCpu\``),
    );
    expect(await problems('policy: { spot: true }')).to.have.length(1);
    expect((await problems('policy: { publicRepositories: true }'))[0]).to.include('only `false` has a meaning here');
    for (const field of [
      'credentials',
      'backends',
      'labels',
      'webhook',
      'organization',
      'repositories',
      'runnerGroup',
    ]) {
      expect(await problems(`${field}: x`), field).to.have.length(1);
    }
    for (const field of ['bucket', 'subnet', 'securityGroup', 'spot', 'dockerInDocker']) {
      expect(await problems(`defaults: { ${field}: x }`), field).to.have.length(1);
    }
  });

  it('has no references: none is looked up, and none is repeated with a value', async () => {
    for (const reference of [
      '${env:HOME}',
      '${file:/etc/passwd}',
      '${sealed:x}',
      '${azure-key-vault:a/b}',
      'a${env:HOME}',
    ]) {
      const found = await problems(`policy:\n  branches: [main, "${reference}"]`);
      expect(found, reference).to.have.length(1);
      expect(found[0]).to.include(`${FILE}:2:20: policy.branches.1: it looks like a reference`);
      expect(found[0]).not.to.include(process.env['HOME'] ?? '/etc');
    }
  });

  it('is bounded in size, nesting, aliases, values and globs', async () => {
    expect((await problems(`# ${'x'.repeat(ORGANIZATION_FILE_BYTES)}`))[0]).to.include('more than 65536 bytes');
    expect((await problems('['.repeat(500)))[0]).to.include('nested too deeply');
    const bomb = ['a: &a [x, x, x, x, x, x, x, x, x, x]'];
    for (const [before, name] of ['ab', 'bc', 'cd', 'de', 'ef'].map((pair) => [...pair])) {
      bomb.push(`${name}: &${name} [${Array.from({ length: 10 }, () => `*${before}`).join(', ')}]`);
    }
    const startedAt = performance.now();
    expect(await problems(bomb.join('\n'))).not.to.deep.equal([]);
    expect(performance.now() - startedAt).to.be.lessThan(2_000);
    const globs = Array.from({ length: 900 }, (_, index) => `"${'a*'.repeat(15)}${index}"`).join(', ');
    expect((await problems(`policy: { branches: [${globs}] }`))[0]).to.include('its globs have');
    expect((await problems(''))[0]).to.include('the file is empty');
    expect((await problems('policy: {'))[0]).to.match(/:1:\d+: /);
    expect(await problems('--- {}\n--- {}')).to.have.length(1);
  });
});
