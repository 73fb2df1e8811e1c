/**
 * What a service said to the platform's own account is not for tenants: quotas and credentials name that account, its
 * subscription or its project. A tenant is told that it is so, and the platform's administrators what it is. Pure.
 */
import { type Failure, failureWords, isOfTheAccount } from '../failures/failure.ts';
import type { BackendStatus } from '../lifecycle/backends.ts';
import type { RegistrationProblem } from '../observability/problems.ts';
import type { Sight } from './sight.ts';

export const WITHHELD = "the platform's account cannot be used for this now: ask its administrators, who see why";

export function toldFailure(sight: Sight, failure: Failure): Failure {
  if (!isOfTheAccount(failure.kind) || seesSource(sight, failure.source)) return failure;
  return withheldFailure(failure);
}

export function withheldFailure(failure: Failure): Failure {
  return { ...failure, code: null, requestId: null, message: WITHHELD };
}

/** By what it repeats, and not by what it says. Nothing that listing such a backend meets is told: see `notListed`. */
export function toldProblem(
  sight: Sight,
  registration: string,
  { failure, ...problem }: RegistrationProblem,
  backends: Backends,
): RegistrationProblem {
  if (failure === undefined) return { ...problem, message: toldText(sight, registration, problem.message, backends) };
  const isTold = problem.kind !== 'sweep' || seesSource(sight, failure.source);
  return { ...problem, message: failureWords(isTold ? toldFailure(sight, failure) : withheldFailure(failure)) };
}

type Backends = () => readonly BackendStatus[];

/** Asked for once a request at most: it looks at every registration. */
export function askedOnce(backends: Backends): Backends {
  let known: readonly BackendStatus[] | undefined;
  return () => {
    known ??= backends();
    return known;
  };
}

/** Reasons are sentences that repeat what was said last. */
export function toldText<Text extends string | undefined>(
  sight: Sight,
  registration: string | null,
  text: Text,
  backends: Backends,
): Text | string {
  if (text === undefined || sight.tenants === null || registration === null) return text;
  let told: string = text;
  for (const status of backends()) {
    if (status.registration !== registration || sight.seesBackend(registration, status.backend)) continue;
    const said = status.closures.map(({ failure }) => failure).filter(({ kind }) => isOfTheAccount(kind));
    for (const failure of [...said, ...(status.notListed === null ? [] : [status.notListed])]) {
      told = told.replaceAll(failureWords(failure), WITHHELD).replaceAll(failure.message, WITHHELD);
    }
  }
  return told;
}

function seesSource(sight: Sight, source: string): boolean {
  const [registration, backend] = source.split('/');
  return registration === undefined || backend === undefined || sight.seesBackend(registration, backend);
}
