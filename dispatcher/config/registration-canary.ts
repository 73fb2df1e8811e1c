/** `canary` of a registration: an image that some launches try before it becomes the default one. */
import { missingPowers, unlistedHook } from '../admission/grants.ts';
import { applyPolicy } from '../admission/policy.ts';
import type { Refusal } from '../admission/refusal.ts';
import { readLabels } from '../labels/grammar.ts';
import { collectOverrides } from '../labels/overrides.ts';
import type { Path } from '../model/problem.ts';
import type { Registration } from '../model/registration.ts';
import { ON_SHARED, refuse } from './held.ts';
import type { Reading } from './reading.ts';
import { registrationFile } from './schema.ts';

/** It is allowed where a label of a job for it would be, on each backend that the stable image may run on. */
export function readCanary(reading: Reading, registration: Registration): Pick<Registration, 'canary'> {
  const file = reading.section(['canary'], registrationFile.shape.canary);
  if (file === undefined) return {};
  const path: Path = ['canary', 'image'];
  const { backends, defaults, grant } = registration;
  if (backends.every(({ kind }) => kind === 'process')) {
    reading.problem(['canary'], 'its backends run no image', 'Remove `canary`.');
    return {};
  }
  const { overrides, mistakes } = collectOverrides(readLabels([`img-${file.image}`]));
  for (const { problem, cure } of mistakes) reading.problem(path, problem, cure);
  if (mistakes.length > 0) return {};
  const answer = applyPolicy(registration, overrides);
  if (!answer.granted) {
    for (const refusal of answer.refusals) reading.problem(path, `as a label: ${refusal.reason}`, cureFor(refusal));
    return {};
  }
  const { image } = answer.grant.wish;
  if (image === defaults.image) {
    const cure = 'Name the candidate here, or remove `canary`.';
    reading.problem(path, 'it is `defaults.image` already, which all launches use', cure);
    return {};
  }
  if (grant !== undefined) {
    const unlisted = unlistedHook(grant, answer.grant.wish);
    const onShared = backends.some(({ shared }) => shared === true) ? missingPowers(grant, { image }) : [];
    for (const missing of unlisted) refuse(reading, path, grant, missing);
    for (const missing of onShared) refuse(reading, path, grant, missing, ON_SHARED);
    if (unlisted.length + onShared.length > 0) return {};
  }
  return { canary: { image, percent: file.percent } };
}

/** For whoever wrote the file, not for the author of a job: there is no label to remove, and no other one to ask. */
function cureFor({ code, cure }: Refusal): string {
  if (code === 'not-allowed') {
    return 'Add it to `policy.images`; or give it a name in `images`, and write that name here.';
  }
  if (code !== 'unknown-name') return cure;
  const guess = /^Did you mean `img-(.*)`\?$/.exec(cure)?.[1];
  return guess === undefined
    ? 'Write a full reference that `policy.images` allows, or a name of `images`.'
    : `Did you mean \`${guess}\`?`;
}
