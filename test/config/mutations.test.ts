import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import fc from 'fast-check';
import { parseDocument } from 'yaml';
import { load } from './files.ts';

const example = readFileSync(new URL('../../registrations/enterprise.example.yaml', import.meta.url), 'utf8');
const dispatcherExample = readFileSync(new URL('../../dispatcher.example.yaml', import.meta.url), 'utf8');

/** What a person, a template or an attacker may leave in the place of a value. */
const strange = fc.constantFrom<unknown>(
  null,
  true,
  -1,
  1e9,
  0.1,
  '',
  'x'.repeat(2000),
  '${env:TENANT_ACME_TOKEN}',
  '${env:GITHUB_TOKEN}',
  '${file:../../etc/passwd}',
  '${env:',
  [],
  ['a', 'a'],
  {},
  { __proto__: null, constructor: 1, toString: 2 },
  [[[[{}]]]],
);

/** The YAML with the nth of its scalars, lists and maps replaced. */
function mutated(text: string, at: number, value: unknown): string {
  const document = parseDocument(text);
  const paths = pathsIn(document.toJS(), []);
  const path = paths[at % paths.length] ?? [];
  document.setIn(path, document.createNode(value));
  return document.toString();
}

function pathsIn(value: unknown, path: readonly (string | number)[]): readonly (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  const below = entries.flatMap(([key, item]) => pathsIn(item, [...path, key]));
  return path.length === 0 ? below : [path, ...below];
}

describe('a configuration that something happened to', () => {
  it('is loaded or told what is wrong, with its place: it never throws, and shows no secret', async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 500 }), strange, fc.boolean(), async (at, value, both) => {
        const loaded = await load({
          'dispatcher.yaml': both ? mutated(dispatcherExample, at, value) : dispatcherExample,
          'registrations/acme.yaml': mutated(example, at, value),
          'secrets/admin-token': 'an-admin-token-of-32-characters!',
          'secrets/acme/ghes-token': 'ghp_of-the-file',
          'secrets/acme/webhook-secret': 'whsec_of-the-file',
          'secrets/acme/webhook-secret-old': 'whsec_old-of-the-file',
        });
        if (loaded.ok) return;
        refused += 1;
        expect(loaded.problems).to.not.be.empty;
        for (const { message, cure, line, column } of loaded.problems) {
          expect(message).to.not.equal('');
          expect(cure).to.not.equal('');
          expect(line).to.be.at.least(0);
          expect(column).to.be.at.least(0);
        }
        expect(JSON.stringify(loaded)).to.not.match(/ghp_of|whsec_|an-admin-token/);
      }),
      { numRuns: 200 },
    );
    expect(refused).to.be.at.least(50);
  });

  it('survives any text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 200 }), fc.nat({ max: example.length }), async (text, at) => {
        const loaded = await load({ 'registrations/acme.yaml': example.slice(0, at) + text + example.slice(at) });
        expect(loaded.ok || loaded.problems.length > 0).to.equal(true);
      }),
      { numRuns: 200 },
    );
  });
});
