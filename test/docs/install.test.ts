import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { shr } from '../cli/process.ts';
import { load } from '../config/files.ts';
import { chart, helm, helmProblem } from '../deploy/helm.ts';
import { commandsIn, INSTALL, yamlIn } from './commands.ts';

const root = new URL('../../', import.meta.url);

function inShell(command: string, cwd: string, input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const run = execFile('sh', ['-c', command], { cwd }, (error) => (error === null ? resolve() : reject(error)));
    run.stdin?.end(input);
  });
}

describe('docs/install.md', () => {
  let page: string;
  let folder: string;

  before(async () => {
    page = await readFile(INSTALL, 'utf8');
    folder = await mkdtemp(join(tmpdir(), 'shr-install-'));
  });

  after(async () => {
    await rm(folder, { recursive: true });
  });

  it('has a test or an assumption for every command', async () => {
    const rows = [...page.matchAll(/^\| `([^`]+)` \| (.+) \|$/gm)].map(([, command = '', held = '']) => ({
      command,
      held,
    }));
    const used = new Set<string>();
    const bare = commandsIn(page).filter((command) => {
      const fitting = rows.filter((row) => command === row.command || command.startsWith(`${row.command} `));
      const closest = fitting.sort((a, b) => b.command.length - a.command.length)[0];
      if (closest !== undefined) used.add(closest.command);
      return closest === undefined;
    });
    expect(commandsIn(page).length).to.be.greaterThan(30);
    expect(bare).to.deep.equal([]);
    expect(rows.map(({ command }) => command).filter((command) => !used.has(command))).to.deep.equal([]);
    const assumptions = await readFile(new URL('docs/assumptions.md', root), 'utf8');
    for (const { command, held } of rows) {
      const tests = [...held.matchAll(/`(test\/[\w./-]+\.ts)` "([^"]+)"/g)];
      const named = [...held.matchAll(/\bIN\d+\b/g)].map(([name]) => name);
      expect(tests.length + named.length, command).to.be.greaterThan(0);
      for (const [, file = '', title = ''] of tests) {
        expect(await readFile(new URL(file, root), 'utf8'), `${file}: ${title}`).to.include(title);
      }
      for (const name of named) expect(assumptions, command).to.include(`**${name}.**`);
    }
  });

  it('has every step to a configuration without problems', async function () {
    this.timeout(60_000);
    for (const heading of ['A clone', 'npx', 'Docker']) {
      const [, section = ''] = page.split(`\n## ${heading}\n`);
      const own = commandsIn(section.split('\n## ')[0] ?? '');
      const place = join(folder, heading.replace(' ', '-'));
      await mkdir(place);
      const ours = own.filter((command) => / init |^\(umask|^sed| validate/.test(command));
      for (const command of ours) {
        if (command.includes(' validate')) break;
        const words = / (init .+)$/.exec(command)?.[1]?.split(' ');
        // What a terminal would give to `cat`.
        if (words === undefined) await inShell(command, place, 'ghp_a-token-of-the-test\n');
        else expect((await shr(words, place)).code).to.equal(0);
      }
      const words = / (validate.*)$/.exec(ours.at(-1) ?? '')?.[1]?.split(' ') ?? [];
      expect(words, heading).to.include('--secrets');
      const { code, out, error } = await shr(words, place);
      expect(code, `${heading}: ${out}${error}`).to.equal(0);
    }
  });

  it('puts the ledger where the image may write', async () => {
    const edits = commandsIn(page).filter((command) => command.includes('sed -i'));
    expect(edits).to.have.length(2);
    await shr(['init', 'config', '--organization', 'acme'], folder);
    for (const edit of edits) {
      const [, from = '', to = ''] = /'s\|(.*)\|(.*)\|'/.exec(edit) ?? [];
      const file = join(folder, 'config', 'dispatcher.yaml');
      const text = (await readFile(file, 'utf8')).replace(new RegExp(from, 'm'), to);
      expect(parse(text).ledger).to.equal('/var/lib/shr/ledger.db');
      await writeFile(join(folder, 'config', 'edited.yaml'), text);
      const valid = await shr(['validate', 'config', '--config', join('config', 'edited.yaml')], folder);
      expect(valid.out).to.include('0 problems');
    }
  });

  it('has values that the chart takes, and a registration that the dispatcher takes', async function () {
    this.timeout(60_000);
    if (helmProblem !== undefined) this.skip();
    const text = yamlIn(page)[0] ?? '';
    const file = join(folder, 'values.yaml');
    await writeFile(file, text);
    for (const command of commandsIn(page).filter((one) => /^helm (?:lint|template) /.test(one))) {
      const words = command.split(' ').slice(1);
      const given = words.map((word) =>
        word.startsWith('deploy/helm/') ? chart : word === 'values.yaml' ? file : word,
      );
      const { code, out, error } = await helm(...given);
      expect(code, `${out}${error}`).to.equal(0);
    }
    const { loadProvider } = await import('../../providers/index.ts');
    const { acme } = parse(text).registrations;
    const files = { 'registrations/acme.yaml': JSON.stringify(acme) };
    const loaded = await load(files, { provider: loadProvider, secrets: 'optional' });
    expect(loaded.problems.map(formatProblem)).to.deep.equal([]);
  });
});
