/** Settings of dispatcher.yaml that a process keeps from its start to its end. */
import { fingerprint } from '../config/fingerprint.ts';
import type { DispatcherConfig } from '../model/registration.ts';

/** By its key in dispatcher.yaml: what is made of it. */
const FIXED = {
  id: ['id'],
  ledger: ['ledgerPath', 'postgres'],
  listen: ['publicListen', 'adminListen'],
  adminToken: ['adminToken'],
  trustedProxies: ['trustedProxies'],
  retention: ['retention'],
  logLevel: ['logLevel'],
  'limits.deliveriesPerMinute': ['deliveriesPerMinute'],
  'limits.shutdown': ['shutdownMs'],
} satisfies Record<string, readonly (keyof DispatcherConfig)[]>;

export interface Fixed {
  /** With these settings as they were at the start. */
  readonly dispatcher: DispatcherConfig;
  /** Keys of dispatcher.yaml with another value than at the start: they take effect after a restart. */
  readonly changed: readonly string[];
}

export function withFixedSettings(atStart: DispatcherConfig, now: DispatcherConfig): Fixed {
  const changed = Object.entries(FIXED).filter(([, fields]) =>
    fields.some((field) => fingerprint(atStart[field]) !== fingerprint(now[field])),
  );
  const { maxLaunches, maxRunners, sources, tenants, unsafeProcessBackend, webhooks } = now;
  const live = { maxLaunches, maxRunners, sources: sources ?? [], tenants, unsafeProcessBackend, webhooks };
  const isOther = fingerprint(issuerIn(atStart)) !== fingerprint(issuerIn(now));
  return {
    dispatcher: { ...atStart, ...live, ...loginOf(atStart, now) },
    changed: [...changed.map(([key]) => key), ...(isOther ? ['oidc'] : [])],
  };
}

type Login = Pick<DispatcherConfig, 'oidc'>;

/** Who lets people in is as at the start. What that lets them do is as now: without the section, nothing. */
function loginOf({ oidc }: Login, now: Login): Login {
  return oidc === undefined ? {} : { oidc: { ...oidc, access: now.oidc?.access ?? [] } };
}

function issuerIn({ oidc }: Login): unknown {
  return oidc === undefined ? undefined : { ...oidc, access: undefined };
}
