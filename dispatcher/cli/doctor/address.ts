/**
 * Whether a dispatcher with our id answers at `listen.public.url`, asked from where doctor runs. That nothing answers is a
 * note: the dispatcher may not run yet, and many networks do not let a machine reach its own public address.
 */
import type { Random } from '../../../time/clock.ts';
import { type AddressReply, type AddressWay, answerInWords, type CallAddress } from '../../callbacks/address-call.ts';
import { newNonce, PROOF_PATH, type Prover, proofForm, proverOf } from '../../callbacks/address-proof.ts';
import { ADDRESS_CURE } from '../../callbacks/own-address.ts';
import { bad, type DoctorFinding, good, note } from './finding.ts';

export interface AddressAsking {
  readonly random: Random;
  readonly call: CallAddress;
  /** Asked through it, too, where nothing is found straight. */
  readonly hasProxy: boolean;
}

interface Found {
  readonly reply: AddressReply;
  readonly prover: Prover;
  readonly way: AddressWay;
}

export async function checkAddress(
  { id, url }: { readonly id: string; readonly url: string | undefined },
  asking: AddressAsking,
): Promise<readonly DoctorFinding[]> {
  if (url === undefined) return [];
  const straight = await ask(id, url, 'direct', asking);
  const proxied =
    straight.prover === 'dispatcher' || !asking.hasProxy ? undefined : await ask(id, url, 'proxy', asking);
  return [findingOf(url, proxied?.prover === 'dispatcher' ? proxied : straight)];
}

async function ask(id: string, url: string, way: AddressWay, { call, random }: AddressAsking): Promise<Found> {
  const nonce = newNonce(random);
  const reply = await call({ url: `${url}${PROOF_PATH}`, form: proofForm(nonce), way });
  return { reply, prover: reply.kind === 'none' ? 'something else' : proverOf(reply.text, nonce, { id }), way };
}

function findingOf(url: string, { reply, prover, way }: Found): DoctorFinding {
  if (reply.kind === 'none') {
    const message = `${url} could not be reached from here (${reply.cause}: ${reply.words}); runners may reach it, once the dispatcher runs`;
    return note('listener', 'address', message, `Start it, and look at \`shr registrations\`. ${ADDRESS_CURE}`);
  }
  if (prover === 'dispatcher' || prover === 'process') {
    const how = way === 'proxy' ? ' through the proxy' : '';
    return good('listener', 'address', `at ${url} a dispatcher with the id of this configuration answers${how}`);
  }
  const found = `${url} is answered by ${prover === 'something else' ? `something else (${answerInWords(reply)})` : prover}`;
  // A proxy in front of a dispatcher that does not run.
  const mayBeDown = prover === 'something else' && reply.status >= 502 && reply.status <= 504;
  if (mayBeDown) return note('listener', 'address', `${found}: the dispatcher does not run, or is not behind it`);
  return bad('listener', 'address', `${found}: call-backs of runners do not arrive`, ADDRESS_CURE);
}
