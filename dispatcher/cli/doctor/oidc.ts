/**
 * Whether people can log in: the issuer's configuration is what the section `oidc` of dispatcher.yaml and the protocol need, the
 * clocks agree, and browsers that come back find the admin listener. Nobody is logged in, and no secret is sent.
 */
import * as oauth from 'oauth4webapi';
import { z } from 'zod';
import type { Clock } from '../../../time/clock.ts';
import { withDeadline } from '../../../time/deadline.ts';
import { SECOND } from '../../../time/units.ts';
import { isLoopback } from '../../config/network.ts';
import { measuredSkew } from '../../github/github-time.ts';
import { deepestWords } from '../../github/reply-words.ts';
import { ID_TOKEN_ALGORITHMS, ID_TOKEN_SKEW_S } from '../../http/oidc/issuer.ts';
import { isProtected, issuerFetch } from '../../http/oidc/issuer-fetch.ts';
import type { DispatcherConfig, OidcConfig } from '../../model/registration.ts';
import { bad, type DoctorFinding, good, note } from './finding.ts';

const OIDC = 'oidc';
const CALL_MS = 15 * SECOND;

const text = z.string().max(2048);
const texts = z.array(text).max(1000).optional().catch(undefined);
const discovery = z.object({
  issuer: text.optional().catch(undefined),
  authorization_endpoint: text.optional().catch(undefined),
  token_endpoint: text.optional().catch(undefined),
  jwks_uri: text.optional().catch(undefined),
  userinfo_endpoint: text.optional().catch(undefined),
  end_session_endpoint: text.optional().catch(undefined),
  response_types_supported: texts,
  id_token_signing_alg_values_supported: texts,
  token_endpoint_auth_methods_supported: texts,
  code_challenge_methods_supported: texts,
  scopes_supported: texts,
});
type Discovery = z.output<typeof discovery>;

const keys = z.object({ keys: z.array(z.object({ kty: text, use: text.optional() })).max(1000) });

type Settings = Pick<DispatcherConfig, 'adminListen'> & { readonly oidc?: OidcConfig };

export async function checkOidc({ adminListen, oidc }: Settings, clock: Clock): Promise<readonly DoctorFinding[]> {
  if (oidc === undefined) return [];
  return [...(await checkIssuer(oidc, clock)), ...(await checkReturn(oidc, adminListen, clock))];
}

async function checkIssuer(oidc: OidcConfig, clock: Clock): Promise<readonly DoctorFinding[]> {
  const issuer = new URL(oidc.issuer);
  const sentAtMs = clock.now();
  let response: Response;
  let body: unknown;
  try {
    response = await inTime(clock, (signal) =>
      oauth.discoveryRequest(issuer, {
        ...{ signal, algorithm: 'oidc', [oauth.customFetch]: issuerFetch },
        // Held by issuerFetch: plain http goes to this machine alone.
        [oauth.allowInsecureRequests]: true,
      }),
    );
    body = response.status === 200 ? await response.json().catch(() => undefined) : undefined;
  } catch (error) {
    const cure = 'check `oidc.issuer` of dispatcher.yaml, and the way to it: names, proxy, certificate authorities';
    return [bad(OIDC, 'issuer', `${oidc.issuer} cannot be asked: ${deepestWords(error)}`, cure)];
  }
  const read = discovery.safeParse(body);
  if (!read.success) {
    const what = response.status === 200 ? 'something else' : `status ${response.status}`;
    return [
      bad(
        OIDC,
        'issuer',
        `${oidc.issuer} answers with ${what} where its configuration should be (/.well-known/openid-configuration)`,
        "write `oidc.issuer` as the provider's page calls it, with its path if it has one",
      ),
    ];
  }
  return [
    issuerFinding(oidc, read.data),
    ...endpointFindings(oidc, read.data),
    ...(await keyFindings(read.data, clock)),
    ...clockFindings(response, sentAtMs, clock.now()),
  ];
}

function issuerFinding({ issuer }: OidcConfig, { issuer: named }: Discovery): DoctorFinding {
  if (named === issuer) return good(OIDC, 'issuer', `${issuer} answers, by this name`);
  return bad(
    OIDC,
    'issuer',
    `${issuer} calls itself ${named ?? 'nothing'}: its tokens will not be believed`,
    named === undefined ? 'ask who runs it' : `write \`issuer: ${named}\` under \`oidc\` in dispatcher.yaml`,
  );
}

const NEEDED = ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const;

function endpointFindings(oidc: OidcConfig, found: Discovery): readonly DoctorFinding[] {
  const lacking = NEEDED.filter((field) => !isUsable(found[field]));
  const {
    response_types_supported: types,
    code_challenge_methods_supported: challenges,
    token_endpoint_auth_methods_supported: methods,
    id_token_signing_alg_values_supported: algorithms,
  } = found;
  const lacks = (known: readonly string[] | undefined, wanted: readonly string[]) =>
    known !== undefined && !wanted.some((one) => known.includes(one));
  const faults = [
    ...(lacking.length > 0 ? [`its configuration has no valid ${lacking.join(', ')}`] : []),
    ...(lacks(types, ['code']) ? ['it does not offer the authorization code flow (response type code)'] : []),
    ...(lacks(challenges, ['S256']) ? ['it does not offer PKCE with S256'] : []),
    ...(lacks(methods, ['client_secret_basic', 'client_secret_post'])
      ? ['it takes no client secret (client_secret_basic or client_secret_post)']
      : []),
    ...(lacks(algorithms, ID_TOKEN_ALGORITHMS) ? ['it signs ID tokens with no algorithm that is accepted here'] : []),
  ];
  const missing = oidc.scopes.filter((scope) => found.scopes_supported?.includes(scope) === false);
  return [
    ...(faults.length === 0
      ? [good(OIDC, 'endpoints', 'authorization, token and keys are there, with PKCE')]
      : [
          bad(
            OIDC,
            'endpoints',
            faults.join('; '),
            'enable them at the provider, or name another issuer: nobody can log in',
          ),
        ]),
    ...(missing.length === 0
      ? []
      : [
          note(
            OIDC,
            'scopes',
            `the issuer does not list the scopes ${missing.join(', ')}, and may refuse to be asked for them`,
            'compare `oidc.scopes` with its documentation',
          ),
        ]),
    ...(found.end_session_endpoint === undefined
      ? [note(OIDC, 'logout', 'the issuer offers no logout: one here leaves people logged in there')]
      : []),
  ];
}

/** As the service takes it. */
function isUsable(address: string | undefined): boolean {
  const url = address === undefined ? null : URL.parse(address);
  return url !== null && isProtected(url);
}

async function keyFindings({ jwks_uri: address }: Discovery, clock: Clock): Promise<readonly DoctorFinding[]> {
  if (address === undefined || !isUsable(address)) return [];
  const cure = 'ask who runs the issuer: without its keys no token is believed';
  try {
    const response = await inTime(clock, (signal) => get(address, signal));
    const read = keys.safeParse(await response.json().catch(() => undefined));
    const signing = read.success ? read.data.keys.filter(({ use = 'sig' }) => use === 'sig').length : 0;
    if (response.status === 200 && signing > 0) return [good(OIDC, 'keys', `${signing} to verify tokens with`)];
    return [
      bad(OIDC, 'keys', `${address} answers without a key to verify tokens with (status ${response.status})`, cure),
    ];
  } catch (error) {
    return [bad(OIDC, 'keys', `${address} cannot be asked: ${deepestWords(error)}`, cure)];
  }
}

function clockFindings(response: Response, sentAtMs: number, nowMs: number): readonly DoctorFinding[] {
  const aheadMs = response.headers.has('age')
    ? undefined
    : measuredSkew(response.headers.get('date') ?? undefined, sentAtMs, nowMs);
  if (aheadMs === undefined) return [note(OIDC, 'clock', 'the issuer does not tell its time')];
  const seconds = Math.abs(Math.round(aheadMs / SECOND));
  if (seconds <= ID_TOKEN_SKEW_S) return [good(OIDC, 'clock', "this machine's clock and the issuer's agree")];
  const what = `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'ahead of' : 'behind'} the issuer's: its tokens are not believed, or end at once`;
  return [bad(OIDC, 'clock', what, 'set the clock of this machine: run NTP')];
}

/** Where the issuer sends browsers back to. */
async function checkReturn(
  { url }: OidcConfig,
  listen: DispatcherConfig['adminListen'],
  clock: Clock,
): Promise<readonly DoctorFinding[]> {
  const redirect = `${url}/login/callback`;
  const target = new URL(url);
  const port = Number(target.port === '' ? (target.protocol === 'https:' ? 443 : 80) : target.port);
  // Without TLS nothing stands in between: the listener itself has to be there.
  const isDirect = target.protocol === 'http:' && isLoopback(target.hostname);
  if (isDirect && listen.port !== 0 && listen.port !== port) {
    return [
      bad(
        OIDC,
        'redirect',
        `${redirect} leads to port ${port}, and the admin listener is at ${listen.host}:${listen.port}`,
        'make `oidc.url` and `listen.admin` of dispatcher.yaml the same, and register the redirect URI at the issuer',
      ),
    ];
  }
  const alive = z.object({ alive: z.literal(true) });
  try {
    const response = await inTime(clock, (signal) => get(`${url}/healthz`, signal));
    const isOurs = alive.safeParse(await response.json().catch(() => undefined)).success;
    if (isOurs)
      return [
        good(OIDC, 'redirect', `${url} leads to an admin listener; ${redirect} has to be registered at the issuer`),
      ];
    const found = `${url} does not lead to an admin listener (its /healthz answers with status ${response.status})`;
    const cure = 'let the proxy at that address pass everything on to `listen.admin`, or correct `oidc.url`';
    // A proxy in front of a dispatcher that does not run.
    if (response.status >= 502 && response.status <= 504)
      return [note(OIDC, 'redirect', `${found}, or the dispatcher does not run`, cure)];
    return [bad(OIDC, 'redirect', found, cure)];
  } catch (error) {
    const what = `${url} could not be reached from here (${deepestWords(error)}): browsers may reach it, once the dispatcher runs`;
    return [note(OIDC, 'redirect', what, `register ${redirect} at the issuer`)];
  }
}

function get(url: string, signal: AbortSignal): Promise<Response> {
  return issuerFetch(url, {
    method: 'GET',
    headers: { accept: 'application/json' },
    body: undefined,
    redirect: 'manual',
    signal,
  });
}

async function inTime(clock: Clock, ask: (signal: AbortSignal) => Promise<Response>): Promise<Response> {
  const late = () => new Error(`no answer within ${CALL_MS / SECOND} s`);
  return await withDeadline(clock, CALL_MS, late, undefined, ask);
}
