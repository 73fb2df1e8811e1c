/** `sources` in dispatcher.yaml: git repositories in which registrations are kept. */
import { isAbsolute, join } from 'node:path';
import type { z } from 'zod';
import type { Path } from '../model/problem.ts';
import type { GitSourceConfig, SourceFolder, TenantEntry } from '../model/registration.ts';
import type { Reading } from './reading.ts';
import { dispatcherFile, durationMs, type sourceFile } from './schema.ts';

const INTERVAL_MS = 60_000;
const MIN_INTERVAL_MS = 10_000;
/** A day: beyond it, nobody would notice that a source is not read any more. */
const MAX_INTERVAL_MS = 86_400_000;

type SourceFile = z.output<typeof sourceFile>;

export function readSources(
  reading: Reading,
  folder: string,
  tenants: readonly TenantEntry[] | undefined,
): readonly GitSourceConfig[] {
  const files = reading.section(['sources'], dispatcherFile.shape.sources) ?? [];
  const names = new Set<string>();
  return files.flatMap((file, index) => {
    const path = ['sources', index];
    if (names.has(file.name)) {
      reading.problem([...path, 'name'], `there are two sources \`${file.name}\``, 'Give one of them another name.');
    }
    names.add(file.name);
    const scheme = schemeOf(reading, [...path, 'git'], file.git);
    const folders = (file.folders ?? [{ path: 'registrations' }]).map((one, at) =>
      folderOf(reading, [...path, 'folders', at], one, tenants),
    );
    const intervalMs = durationMs(file.interval, INTERVAL_MS);
    if (intervalMs < MIN_INTERVAL_MS || intervalMs > MAX_INTERVAL_MS) {
      reading.problem([...path, 'interval'], 'it is not between 10s and 24h', 'Write one like `1m`.');
    }
    if (scheme === undefined) return [];
    const credentials = credentialsOf(reading, path, file, { scheme, folder });
    const secrets = file.webhook?.secrets ?? [];
    return [
      {
        name: file.name,
        url: file.git,
        branch: file.branch ?? 'main',
        folders,
        intervalMs,
        ...(credentials === undefined ? {} : { credentials }),
        webhookSecrets: secrets.map((text, at) => reading.chosenSecret([...path, 'webhook', 'secrets', at], text)),
      },
    ];
  });
}

function schemeOf(reading: Reading, path: Path, text: string): 'https' | 'ssh' | undefined {
  const url = URL.parse(text);
  const scheme = url?.protocol.slice(0, -1);
  if (url === null || (scheme !== 'https' && scheme !== 'ssh') || url.hostname === '') {
    const message = /^[^/:]+@[^/:]+:/.test(text) ? 'it is written in the short form' : 'it is neither https nor ssh';
    reading.problem(
      path,
      message,
      'Write it like `https://github.com/acme/runners.git` or `ssh://git@github.com/acme/runners.git`.',
    );
    return undefined;
  }
  if (url.password !== '' || (scheme === 'https' && url.username !== '') || url.search !== '' || url.hash !== '') {
    reading.problem(path, 'it holds more than a place', 'Write the place alone, and credentials in `token`.');
    return undefined;
  }
  return scheme;
}

function folderOf(
  reading: Reading,
  path: Path,
  { path: folder, tenants: named, trusted = false }: NonNullable<SourceFile['folders']>[number],
  tenants: readonly TenantEntry[] | undefined,
): SourceFolder {
  for (const [at, name] of (named ?? []).entries()) {
    if (tenants?.some((tenant) => tenant.name === name) === true) continue;
    reading.problem([...path, 'tenants', at], `there is no tenant \`${name}\``, 'Correct the name, or remove it.');
  }
  if (named !== undefined && folder.endsWith('/*')) {
    reading.problem([...path, 'tenants'], 'the names of the folders say whose they are', 'Remove it.');
  }
  if (tenants === undefined && !trusted) {
    const message =
      "without `tenants`, all registrations are the platform's own, and this folder may hold none of them";
    const cure =
      "Add `tenants`; or write `trusted: true`, if those who change the repository may use all of the platform's secrets.";
    reading.problem(path, message, cure);
  }
  return { path: folder, ...(named === undefined ? {} : { tenants: named }), trusted };
}

function credentialsOf(
  reading: Reading,
  path: Path,
  { key, knownHosts, token, user }: SourceFile,
  { scheme, folder }: { readonly scheme: 'https' | 'ssh'; readonly folder: string },
): GitSourceConfig['credentials'] {
  const wrong = scheme === 'https' ? (['key', 'knownHosts'] as const) : (['token', 'user'] as const);
  for (const field of wrong) {
    if ({ key, knownHosts, token, user }[field] === undefined) continue;
    reading.problem([...path, field], `it has no effect with ${scheme}`, 'Remove it.');
  }
  if (scheme === 'https') {
    if (token === undefined) return undefined;
    return { kind: 'token', user: user ?? 'x-access-token', token: reading.secret([...path, 'token'], token) };
  }
  const from = (file: string) => (isAbsolute(file) ? file : join(folder, file));
  if (key !== undefined && knownHosts !== undefined) {
    return { kind: 'ssh', key: from(key), knownHosts: from(knownHosts) };
  }
  reading.problem(
    path,
    'ssh needs a key, and the keys of the host',
    'Write `key: secrets/git-key` and `knownHosts: secrets/known-hosts`; `ssh-keyscan HOST` prints them, to be compared with what the host publishes.',
  );
  return undefined;
}
