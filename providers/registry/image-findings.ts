/** What was learned about an image, in words, with what to do. Pure. */
import type { Finding, ImageUse } from '../provider.ts';
import type { Puller } from './puller.ts';

/** As whom a registry was asked. */
export type Caller = 'anonymous' | 'login' | 'account';

/** What a registry said about an image. */
export type Seen =
  /** GOARCH names (`amd64`), prefixed with the system unless it is Linux; empty if the registry does not tell. */
  | { readonly kind: 'there'; readonly architectures: readonly string[] }
  | { readonly kind: 'absent' | 'refused'; readonly caller: Caller }
  | { readonly kind: 'unseen'; readonly why: string; readonly silent: boolean };

/** GOARCH, as used by manifests, in the terms of GitHub's labels. */
const terms: ReadonlyMap<string, string> = new Map([
  ['amd64', 'x64'],
  ['386', 'x86'],
]);

const goNames = { x64: 'amd64', arm64: 'arm64' } as const;

/** Pure. For an image that exists, in its registry or already where it runs. `architectures` as GOARCH names. */
export function findingOfPlatforms(
  { reference, architectures: wanted }: ImageUse,
  place: string,
  architectures: readonly string[],
): Finding {
  if (architectures.length === 0) {
    const message = `${reference} is ${place}; its architectures are unknown`;
    return { subject: 'image', ok: true, message };
  }
  const has = architectures.slice(0, 20).map((name) => terms.get(name) ?? name);
  if (wanted.some((one) => architectures.includes(goNames[one]))) {
    return { subject: 'image', ok: true, message: `${reference} is ${place}, for ${has.join(', ')}` };
  }
  const platforms = wanted.map((one) => `linux/${goNames[one]}`).join(',');
  return {
    subject: 'image',
    ok: false,
    message: `${reference} is ${place} for ${has.join(', ')}, not for ${wanted.join(' or ')}`,
    cure: `build it for that too (docker buildx build --platform ${platforms}), or give the registration an architecture that it has`,
  };
}

/** The finding for one image. `registry`: as references name it. */
export function findingOf(image: ImageUse, registry: string, seen: Seen, puller: Puller): Finding {
  const { reference } = image;
  switch (seen.kind) {
    case 'there':
      return findingOfPlatforms(image, 'there', seen.architectures);
    case 'unseen':
      return notLookedAt(reference, `${registry} cannot be reached from here (${seen.why})`);
    case 'absent':
      return seen.caller === 'anonymous'
        ? ofAnonymous(reference, registry, `is not there, says ${registry} to an anonymous caller`, puller)
        : {
            subject: 'image',
            ok: false,
            message: `${reference} is not there, says ${registry} to ${callerOf(seen.caller, puller)}`,
            cure: 'check its spelling, including the tag, or push it; a private one that this caller may not read can look the same',
          };
    case 'refused':
      switch (seen.caller) {
        case 'anonymous':
          return ofAnonymous(reference, registry, `is not shown by ${registry} to anonymous callers`, puller);
        case 'login':
          return {
            subject: 'image',
            ok: false,
            message: `${registry} does not let ${callerOf('login', puller)} read ${reference}`,
            cure: `fix ${puller.option}: check its username and password, and that it may read this repository; check the spelling of the reference, too`,
          };
        case 'account': {
          const identity = puller.identityAt?.(registry) ?? 'the service';
          const why = `${registry} does not let ${callerOf('account', puller)} read it, and ${identity} pulls it`;
          return notLookedAt(reference, why);
        }
      }
  }
}

/** An anonymous caller's answer only proves something if the pull is anonymous too. */
function ofAnonymous(reference: string, registry: string, told: string, puller: Puller): Finding {
  const identity = puller.identityAt?.(registry);
  if (identity !== undefined) {
    return notLookedAt(reference, `it ${told}, and ${identity} pulls it, whose credentials we do not have`);
  }
  return {
    subject: 'image',
    ok: false,
    message: `${reference} ${told}`,
    cure: `check its spelling, including the tag, or push it; a private one can look the same: then ${puller.whenPrivate}`,
  };
}

function notLookedAt(reference: string, why: string): Finding {
  return { subject: 'image', ok: true, note: true, message: `${reference} was not checked: ${why}` };
}

function callerOf(caller: 'login' | 'account', { option }: Puller): string {
  return caller === 'login' ? `the login of ${option}` : "the backend's own account";
}

/** The finding for what is not an image reference. */
export function malformed(text: string): Finding {
  return {
    subject: 'image',
    ok: false,
    message: `${JSON.stringify(text.slice(0, 200))} is not a valid image reference`,
    cure: 'write registry/repository:tag, in lower case, such as ghcr.io/acme/runner:1',
  };
}
