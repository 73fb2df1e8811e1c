/**
 * How we authenticate to Google: application default credentials, a service account key, or a workload identity of
 * another cloud. The latter two are the JSON text written by Google's console or gcloud, as one secret.
 */
import { z } from 'zod';
import { platformAddresses } from '../kit/addresses.ts';
import type { PlatformOption } from '../provider.ts';
import { isLoopback } from './endpoint.ts';

export const APPLICATION_DEFAULT = 'application-default';

/**
 * Only the required fields of a key are passed on. Google's client library warns about external JSON: some kinds
 * contain URLs to call and programs to run
 * (https://cloud.google.com/docs/authentication/external/externally-sourced-credentials).
 */
const serviceAccountKey = z.object({
  type: z.literal('service_account'),
  client_email: z.string().regex(/^[^@\s]+@[^@\s]+$/, 'client_email is not an e-mail address'),
  private_key: z.string().includes('-----BEGIN', 'private_key is not a PEM text'),
  private_key_id: z.string().exactOptional(),
  universe_domain: z.literal('googleapis.com', 'only googleapis.com is supported').exactOptional(),
});

const host = (pattern: RegExp) => (text: string) => {
  const url = URL.parse(text);
  return url !== null && ((url.protocol === 'https:' && pattern.test(url.host)) || isLoopback(text));
};

/** The external token source: a file, Azure's metadata service, or an AWS signature. No programs, no other URLs. */
const credentialSource = z.union([
  z.strictObject({
    file: z.string().startsWith('/', 'credential_source.file must be an absolute path'),
    format: z
      .strictObject({ type: z.enum(['text', 'json']), subject_token_field_name: z.string().exactOptional() })
      .exactOptional(),
  }),
  z.strictObject({
    url: z
      .string()
      .startsWith(
        'http://169.254.169.254/metadata/identity/oauth2/token',
        "credential_source.url may only be Azure's metadata service",
      ),
    headers: z.strictObject({ Metadata: z.string() }).exactOptional(),
    format: z
      .strictObject({ type: z.enum(['text', 'json']), subject_token_field_name: z.string().exactOptional() })
      .exactOptional(),
  }),
  z.strictObject({
    environment_id: z.string().regex(/^aws\d+$/),
    regional_cred_verification_url: z
      .string()
      .regex(
        /^https:\/\/sts\.\{region\}\.amazonaws\.com(\.cn)?\?/,
        'regional_cred_verification_url must be STS of AWS',
      ),
    region_url: z.string().startsWith('http://169.254.169.254/').exactOptional(),
    url: z.string().startsWith('http://169.254.169.254/').exactOptional(),
    imdsv2_session_token_url: z.string().startsWith('http://169.254.169.254/').exactOptional(),
  }),
]);

const externalAccount = z.object({
  type: z.literal('external_account'),
  audience: z.string().startsWith('//iam.googleapis.com/', 'audience is not a workload identity pool provider'),
  subject_token_type: z.string().min(1),
  token_url: z
    .string()
    .refine(host(/^sts(\.[a-z0-9-]+\.rep)?\.googleapis\.com$/), "token_url must be Google's: sts.googleapis.com"),
  service_account_impersonation_url: z
    .string()
    .refine(
      host(/^iamcredentials(\.[a-z0-9-]+\.rep)?\.googleapis\.com$/),
      "service_account_impersonation_url must be Google's: iamcredentials.googleapis.com",
    )
    .exactOptional(),
  credential_source: credentialSource,
  universe_domain: z.literal('googleapis.com', 'only googleapis.com is supported').exactOptional(),
});

const credentials = z.discriminatedUnion('type', [serviceAccountKey, externalAccount], {
  error: 'type must be service_account or external_account',
});

export type Credentials = z.infer<typeof credentials>;

/** Messages contain field names, never values. */
export const credentialsOption = z
  .string()
  .default(APPLICATION_DEFAULT)
  .superRefine((text, context) => {
    if (text === APPLICATION_DEFAULT) return;
    const parsed = credentials.safeParse(readJson(text));
    if (parsed.success) return;
    const issue = parsed.error.issues[0];
    const path = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
    context.addIssue({
      code: 'custom',
      message: `is neither the word ${APPLICATION_DEFAULT} nor the JSON of a service account key or an external account (${path}${issue?.message ?? 'unreadable'})`,
    });
  });

/**
 * The dispatcher's own identity must not be sent to an arbitrary listener on this machine. Undefined if all is well.
 */
export function refuseEndpoints(text: string, endpoints: readonly (string | undefined)[]): string | undefined {
  if (text !== APPLICATION_DEFAULT || !endpoints.some((one) => one?.startsWith('http://'))) return undefined;
  return `${APPLICATION_DEFAULT} may only be sent to Google: give separate credentials for an endpoint on this machine`;
}

/** Undefined for application default credentials: Google's library then looks for them. */
export function credentialsOf(text: string): Credentials | undefined {
  return text === APPLICATION_DEFAULT ? undefined : credentials.parse(readJson(text));
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * For a provider module's `platformOptions`. An endpoint on another Google host than the usual one discloses nothing.
 */
export function platformOptionsOf(
  credentialsText: string,
  endpoints: Readonly<Record<string, string | undefined>>,
): readonly PlatformOption[] {
  const why = actsAsDispatcher(credentialsText);
  const local = Object.entries(endpoints).filter(([, address]) => address !== undefined && isLoopback(address));
  return [
    ...(why === undefined ? [] : [{ option: 'credentials', why }]),
    ...platformAddresses(Object.fromEntries(local)),
  ];
}

/** Undefined for a service account key. */
function actsAsDispatcher(text: string): string | undefined {
  const given = credentialsOf(text);
  if (given === undefined) return 'it acts by the identity of the dispatcher itself';
  if (given.type === 'service_account') return undefined;
  return 'it sends Google a token or a file of the dispatcher’s machine';
}
