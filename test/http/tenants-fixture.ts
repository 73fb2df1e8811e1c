/** Two tenants before one admin listener, and tokens of every role for each of them and for the platform. */
import { z } from 'zod';
import type { AdminListenerOptions } from '../../dispatcher/http/admin-app.ts';
import type { RegistrationDocuments } from '../../dispatcher/http/admin-sources.ts';
import { hashOfToken, newToken } from '../../dispatcher/http/api-token.ts';
import type { Ledger, Role, TokenRow } from '../../dispatcher/ledger/ledger.ts';
import type { TenantEntry } from '../../dispatcher/model/registration.ts';
import { systemRandom, ulid } from '../../time/clock.ts';
import { grantOf } from '../registration-fixture.ts';
import {
  acmeLane,
  admit,
  type Fixture,
  fact,
  globexLane,
  lane,
  MINUTE,
  NOW,
  openFixture,
  runner,
} from './admin-fixture.ts';

export const TENANTS: readonly TenantEntry[] = [
  { name: 'team-a', registrations: ['acme', 'acme-*'], grant: undefined },
  { name: 'team-g', registrations: ['globex'], grant: undefined },
];

/** The same, as tenants are. */
export const GRANTED: readonly TenantEntry[] = TENANTS.map((one) => ({ ...one, grant: grantOf(one.name) }));

/** Whatever is written is as before. */
export const keptDocuments: RegistrationDocuments = {
  entry: (name) => (name === 'acme' ? { name, hash: 'h', tenant: 'team-a', putBy: 'portal', putAtMs: 0 } : undefined),
  text: async () => 'organization: acme',
  check: async () => ({ problems: [], notes: [] }),
  put: async () => 'put',
  remove: async () => 'deleted',
  apply: async () => {},
};

/** Of a registration that is removed: its runner lives on. */
export const removedLane = lane('lane0removed0001', 'acme-old');

export async function issue(ledger: Ledger, change: Partial<TokenRow> = {}): Promise<string> {
  const token = newToken(systemRandom);
  const id = ulid(NOW, systemRandom);
  await ledger.createToken({
    id,
    name: `token-${id}`,
    hash: hashOfToken(token),
    role: 'viewer',
    tenants: null,
    createdAtMs: NOW,
    createdBy: 'adminToken',
    sessionId: null,
    expiresAtMs: null,
    revokedAtMs: null,
    revokedBy: null,
    ...change,
  });
  return token;
}

export async function openTenants(change: Partial<AdminListenerOptions> = {}): Promise<Fixture> {
  const fixture = await openFixture({ tenants: () => TENANTS, ...change });
  const { ledger } = fixture;
  await admit(
    ledger,
    [
      fact(1, 'acme'),
      fact(2, 'acme', { status: 'in_progress', runnerName: 'shr-acme', startedAtMs: NOW - MINUTE }),
      fact(3, 'globex'),
    ],
    (job) => (job.owner === 'acme' ? acmeLane : globexLane),
  );
  await ledger.recordFacts([fact(4, 'nobody')]);
  await ledger.createRunner(runner('shr-acme', acmeLane, { state: 'busy' }), 'launched');
  await ledger.createRunner(runner('shr-globex', globexLane), 'launched');
  await ledger.createRunner(runner('shr-old', removedLane, { state: 'online' }), 'launched');
  return fixture;
}

export function as(token: string): RequestInit {
  return { headers: { authorization: `Bearer ${token}` } };
}

export async function tokenOf(ledger: Ledger, role: Role, tenants: readonly string[] | null): Promise<string> {
  return await issue(ledger, { role, tenants });
}

const namedSchema = z.object({ error: z.string(), cure: z.string() });

export async function problemOf(response: Response): Promise<z.infer<typeof namedSchema>> {
  return namedSchema.parse(await response.json());
}
