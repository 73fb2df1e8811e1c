/**
 * Whether an image is proven to carry our hooks, where a tenant's grant demands it. GitHub, not we, assigns jobs: the hook
 * in the runner is what stops one that may not run there. docs/security.md says what counts as proof.
 */
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { RUNNER_COMMAND } from '../../providers/kit/runner-command.ts';
import { type ImageLabels, ProviderError, type ShapeWish } from '../../providers/provider.ts';
import { DAY, MINUTE } from '../../time/units.ts';
import { hookDemand, listsHook, placeOf } from '../admission/grants.ts';
import { quote } from '../labels/values.ts';
import type { Backend, Grant } from '../model/registration.ts';
import type { Tenant } from './ports.ts';
import { SharedMemory } from './shared-memory.ts';

/** The version of our entrypoint's contract, as the image's build writes it. */
export const CONTRACT_LABEL = 'serverless-hosted-runner.contract';
const KNOWN_CONTRACTS = ['1'];

/** A tag may lead to another image by then. */
const TAG_HOLDS_MS = 10 * MINUTE;
const DIGEST_HOLDS_MS = DAY;
/** Of one tenant. */
const MAX_IMAGES = 1000;

export class HookProofs {
  readonly #now: () => number;
  /** Until when the label that was read is proof. An image without it may be replaced: it is read again. */
  readonly #proofs = new SharedMemory<number>(MAX_IMAGES);
  /** Runners of one image start in groups. */
  readonly #asked = new Map<string, Promise<ImageLabels>>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Why a runner may not be launched, with what to do; undefined: it may. Rejects only on a defect. */
  async whyUnproven(tenant: Tenant, backendName: string, wish: ShapeWish): Promise<string | undefined> {
    const { grant, backends } = tenant.registration;
    if (grant?.requireHook === undefined) return undefined;
    const backend = backends.find(({ name }) => name === backendName);
    const bypassed = backend === undefined ? 'its backend is not configured' : whyBypassed(backend);
    if (bypassed !== undefined) {
      return `${demand(grant)}, and ${bypassed}. Leave the option command out`;
    }
    if (listsHook(grant, wish.image)) return undefined;
    const why = grant.requireHook.labels ? await this.#whyUnlabelled(tenant, backendName, wish) : 'it is not listed';
    if (why === undefined) return undefined;
    return (
      `${demand(grant)}, and image ${wish.image} is not proven to carry it: ${why}. ` +
      `Use an image made of ours (docs/runner-image.md), or have it listed in tenants.${grant.tenant}.hookImages of dispatcher.yaml`
    );
  }

  async #whyUnlabelled(tenant: Tenant, backend: string, wish: ShapeWish): Promise<string | undefined> {
    const { name, grant } = tenant.registration;
    const key = JSON.stringify([name, backend, wish.image, wish.architecture]);
    if ((this.#proofs.get(key) ?? 0) > this.#now()) return undefined;
    const answer = await this.#ask(key, tenant, backend, wish);
    if (answer.kind === 'unknown') return `its labels cannot be read (${answer.why})`;
    if (!carriesHook(answer.labels)) return `it has no label ${CONTRACT_LABEL} that is known here`;
    const holdsMs = wish.image.includes('@') ? DIGEST_HOLDS_MS : TAG_HOLDS_MS;
    this.#proofs.set(grant?.tenant ?? name, key, this.#now() + holdsMs);
    return undefined;
  }

  #ask(key: string, tenant: Tenant, backend: string, wish: ShapeWish): Promise<ImageLabels> {
    const asked = this.#asked.get(key);
    if (asked !== undefined) return asked;
    const asking = labelsAt(tenant, backend, wish).finally(() => this.#asked.delete(key));
    this.#asked.set(key, asking);
    return asking;
  }
}

/** As the labels say: the word of whoever built the image. */
export function carriesHook(labels: Readonly<Record<string, string>>): boolean {
  return Object.hasOwn(labels, CONTRACT_LABEL) && KNOWN_CONTRACTS.includes(labels[CONTRACT_LABEL] ?? '');
}

async function labelsAt(tenant: Tenant, backend: string, wish: ShapeWish): Promise<ImageLabels> {
  try {
    const provider = await tenant.provider(backend);
    const labels = await provider.imageLabels?.(wish.image, wish.architecture);
    return labels ?? { kind: 'unknown', why: 'its kind of backend reads none' };
  } catch (error) {
    if (error instanceof ProviderError) return { kind: 'unknown', why: error.message };
    throw error;
  }
}

function demand(grant: Grant): string {
  return `the grant of tenant ${quote(grant.tenant)} demands the job-started hook (${placeOf(grant, hookDemand)})`;
}

const commandOption = z.object({ command: z.unknown() });
const ENTRYPOINT = ['/opt/shr/entrypoint'];

/** A command of the tenant's own would run the listener without our hooks, whatever the image carries. */
function whyBypassed({ options, kind, from }: Backend): string | undefined {
  const read = commandOption.safeParse(options);
  const command = read.success ? read.data.command : undefined;
  if (isDeepStrictEqual(command, RUNNER_COMMAND) || isDeepStrictEqual(command, ENTRYPOINT)) return undefined;
  if (command !== undefined)
    return `the option command of its backend replaces the start script, which begins with our entrypoint`;
  // Kinds that are built in have that one by default.
  return from === undefined ? undefined : `the kind ${kind} does not say what its containers run`;
}
