import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import {
  dispatcherFile,
  policyFile,
  registrationFile,
  tenantLimits,
  tenantPowers,
} from '../../dispatcher/config/schema.ts';

/** The text below a heading, down to the next of its level; without a heading the whole page. */
function section(name: string, heading: string): string {
  const text = readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
  if (heading === '') return text;
  const [, below = ''] = text.split(`\n## ${heading}\n`);
  return below.split('\n## ')[0] ?? '';
}

/** In code, alone or as part of a path: `webhook.secrets`, `organization: acme`. */
function named(text: string, field: string): boolean {
  return new RegExp(`\`(?:[^\`\\n]*[.\\s])?${field}(?:[.:,\\s][^\`\\n]*)?\``).test(text);
}

describe('the pages on the files', () => {
  for (const [what, name, heading, fields] of [
    ['a registration', 'registrations.md', '', registrationFile.shape],
    ['defaults', 'registrations.md', 'What a runner is', registrationFile.shape.defaults.unwrap().shape],
    ['policy', 'registrations.md', 'How far labels may go', policyFile.shape],
    ['dispatcher.yaml', 'configuration.md', 'dispatcher.yaml', dispatcherFile.shape],
    ['the limits of a tenant', 'configuration.md', 'Tenants', tenantLimits.shape],
    ['the powers of a tenant', 'configuration.md', 'Tenants', tenantPowers.shape],
  ] as const) {
    it(`name every field of ${what}`, () => {
      const text = section(name, heading);
      expect(Object.keys(fields).filter((field) => !named(text, field))).to.deep.equal([]);
    });
  }
});
