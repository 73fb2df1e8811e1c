/** Holds calls that were made, and their answers, against the vendor's description. */
import type { Call } from '../../../simulators/ali-eci/index.ts';
import type { Description } from './description.ts';

/** What the service or its gateway says although the description of the call does not list it. */
const beyondTheDescription: Readonly<Record<string, string>> = {
  'InvalidContainerGroupId.NotFound':
    'the description lists no code for a group that is gone; the form is that of the vendor’s other services',
  'Forbidden.RAM': 'said by the gateway in front of every service',
  IdempotentParameterMismatch: 'of the vendor’s page on idempotency, for all services',
};

/** In words; empty where every call and every answer is as described. */
export function problemsOf(calls: readonly Call[], descriptions: readonly Description[]): readonly string[] {
  return calls.flatMap((call) => {
    const description = descriptions.find(({ version }) => version === call.version);
    if (description === undefined) return [`${call.action}: version ${call.version} is not described`];
    const problems = [
      // The description says `in: query`; the form is our choice, and nothing may be in both.
      ...(call.url === '/' && Object.keys(call.query).length === 0 ? [] : ['something is in the URL']),
      ...description.refuseParameters(call.action, call.form),
      ...(call.status === 200 ? description.refuseAnswer(call.action, call.answer) : refuseError(description, call)),
    ];
    return problems.map((problem) => `${call.action}: ${problem}`);
  });
}

function refuseError(description: Description, call: Call): string[] {
  const code = String(Object.fromEntries(Object.entries(call.answer ?? {}))['Code']);
  const known = description.errorCodes(call.action).filter((described) => described.code === code);
  if (known.some(({ status }) => status === call.status)) return [];
  if (known.length > 0) return [`${code} comes with another status than ${call.status}`];
  return Object.hasOwn(beyondTheDescription, code) ? [] : [`${code} is not described`];
}
