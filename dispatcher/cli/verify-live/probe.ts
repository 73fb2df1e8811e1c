/** The container that is launched for inspection: the smallest that the service offers, with known output. */

import type {
  Architecture,
  LaunchRequest,
  Provider,
  ProviderModule,
  Shape,
  ShapeWish,
} from '../../../providers/provider.ts';
import { type Clock, type Random, ulid } from '../../../time/clock.ts';
import { scopePath } from '../../jobs/scope.ts';
import type { Claim, Registration } from '../../model/registration.ts';
import { refusedConfiguration } from './runner.ts';

/**
 * Replaces the dispatcher's id in the tags: a running dispatcher must not mistake the container for one of its own
 * runners, and the next check finds what this one leaves behind.
 */
export const VERIFIER = 'shr-verify-live';
/** The program exits on its own after this, whatever happens to the check. */
export const LIFE_MINUTES = 10;
const DEADLINE_MS = 15 * 60_000;
/** As long as a JIT configuration. */
const SECRET_CHARACTERS = 4096;

const WORD = 'SHR_VERIFY_WORD';
const SECRET = 'ACTIONS_RUNNER_INPUT_JITCONFIG';
/** A service may log the command itself, so it must not contain the expected text. As PID 1 a shell ignores SIGTERM. */
const SCRIPT = [
  'trap "exit 143" TERM',
  `echo "shr verify-live: $${WORD}, a secret of $\{#${SECRET}} characters"`,
  `sleep ${LIFE_MINUTES * 60} & wait`,
].join('; ');

export interface Probe {
  readonly request: LaunchRequest;
  /** What its output must contain. */
  readonly says: string;
  readonly secret: string;
}

/** A backend's options, with our program in place of the containers' command. */
export function withProgram(module: ProviderModule, options: unknown): unknown {
  return module.withCommand(module.options.parse(options), ['/bin/sh', '-c', SCRIPT]);
}

/** Cores and GiB: the first that the service does not refuse; it rounds up to its minimum. */
const SIZES: readonly Pick<ShapeWish, 'cpu' | 'memoryGiB'>[] = [
  { cpu: 0.25, memoryGiB: 0.25 },
  { cpu: 0.5, memoryGiB: 0.5 },
  { cpu: 1, memoryGiB: 1 },
  { cpu: 2, memoryGiB: 4 },
  {},
];

export type Smallest =
  | { readonly ok: true; readonly shape: Shape; readonly note: string | undefined }
  | { readonly ok: false; readonly reason: string };

export function smallestShape(
  provider: Pick<Provider, 'capabilities' | 'fit'>,
  registration: Registration,
  image: string | undefined,
): Smallest {
  const { defaults } = registration;
  const { capabilities } = provider;
  const reference = image ?? defaults.image;
  if (reference === undefined) {
    return { ok: false, reason: 'the registration has no defaults.image: name one with --image' };
  }
  const preferred: Architecture = defaults.architecture ?? 'x64';
  const architecture = capabilities.architectures.includes(preferred) ? preferred : capabilities.architectures[0];
  const wish: ShapeWish = {
    architecture: architecture ?? preferred,
    image: reference,
    spot: false,
    dockerInDocker: false,
    timeLimitMs: DEADLINE_MS,
    // As for its jobs: a container in another network would not prove anything about this one.
    ...(defaults.subnet !== undefined && capabilities.subnet ? { subnet: defaults.subnet } : {}),
    ...(defaults.securityGroup !== undefined && capabilities.securityGroup
      ? { securityGroup: defaults.securityGroup }
      : {}),
  };
  let reason = '';
  for (const size of SIZES) {
    const answer = provider.fit({ ...wish, ...size });
    if (answer.fits) return { ok: true, shape: answer.shape, note: answer.note };
    reason = answer.reason;
  }
  return { ok: false, reason };
}

export function makeProbe(registration: Registration, shape: Shape, clock: Clock, random: Random): Probe {
  const nowMs = clock.now();
  const name = `${VERIFIER}-${ulid(nowMs, random)}`;
  const word = ulid(nowMs, random);
  const secret = textOf(SECRET_CHARACTERS, random);
  return {
    request: {
      name,
      shape,
      tags: {
        dispatcher: VERIFIER,
        registration: registration.name,
        lane: textOf(16, random)
          .toLowerCase()
          .replaceAll(/[^a-z0-9]/g, '0'),
        scope: scopeOf(registration.claim),
        runner: name,
        createdAtMs: nowMs,
        deadlineAtMs: nowMs + DEADLINE_MS,
        // The registration's charge labels, as its runners have them. Without any, one that no service takes as is.
        charge:
          Object.keys(registration.chargeLabels).length > 0
            ? registration.chargeLabels
            : { purpose: 'Prüfung = shr verify-live' },
      },
      environment: { [WORD]: word },
      secretEnvironment: { [SECRET]: secret },
    },
    says: `shr verify-live: ${word}, a secret of ${secret.length} characters`,
    secret,
  };
}

/** The same container again, with the command of real runners and a configuration that GitHub would refuse. */
export function runnerRequest(probe: Probe, registration: Registration, clock: Clock, random: Random): LaunchRequest {
  const name = `${VERIFIER}-${ulid(clock.now(), random)}`;
  return {
    ...probe.request,
    name,
    tags: { ...probe.request.tags, runner: name },
    environment: {},
    secretEnvironment: { [SECRET]: refusedConfiguration(registration.host, name) },
  };
}

function scopeOf(claim: Claim): string {
  switch (claim.kind) {
    case 'enterprise':
      return scopePath({ kind: 'enterprise', enterprise: claim.enterprise });
    case 'organization':
      return scopePath({ kind: 'organization', organization: claim.organization });
    case 'user':
      return scopePath({ kind: 'repository', owner: claim.user, repository: 'verify-live' });
    case 'repositories': {
      const [first] = claim.repositories;
      return scopePath({
        kind: 'repository',
        owner: first?.owner ?? 'anonymous',
        repository: first?.repository ?? 'verify-live',
      });
    }
  }
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function textOf(characters: number, random: Random): string {
  return Array.from({ length: characters }, () => BASE64.charAt(Math.floor(random() * BASE64.length))).join('');
}
