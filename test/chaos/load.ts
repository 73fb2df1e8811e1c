/** Jobs to run while something goes wrong, and what became of them. */
import { eventually, type Service } from '../e2e/service-fixture.ts';
import type { Figure } from './experiment.ts';

export const LABEL = 'e2e';

/** One run with so many jobs. Every job leaves an execution behind at GitHub. */
export function push(service: Service, count: number, seconds: number): void {
  const numbers = Array.from({ length: count }, (_, index) => index).join(', ');
  const job = `{ strategy: { matrix: { n: [${numbers}] } }, runs-on: ${LABEL}, steps: [{ run: "sleep ${seconds}" }] }`;
  service.github.pushWorkflow({ owner: 'acme', repository: 'web', yaml: `{ on: push, jobs: { work: ${job} } }` });
}

export function completed(service: Service): number {
  return service.github.jobs().filter(({ status }) => status === 'completed').length;
}

/** Answers the milliseconds until all jobs were completed; rejects when that takes longer than `withinMs`. */
export async function allCompleted(service: Service, withinMs: number): Promise<number> {
  const startedAt = performance.now();
  await eventually('all jobs are completed', withinMs, () =>
    completed(service) === service.github.jobs().length ? true : undefined,
  ).catch((error: unknown) => {
    const waiting = service.github.jobs().length - completed(service);
    throw new Error(`${waiting} jobs are not completed after ${withinMs / 1000} s`, { cause: error });
  });
  return performance.now() - startedAt;
}

/** What must be so after every experiment. `others` counts instances on further backends. */
export async function aftermath(
  service: Service,
  withinMs: number,
  others: () => number = () => 0,
): Promise<readonly Figure[]> {
  const left = async () => service.github.runners().length + (await service.instances()).length + others();
  const isEmpty = async () => ((await left()) === 0 ? true : undefined);
  await eventually('nothing is left', withinMs, isEmpty).catch(() => undefined);
  const runs = new Map<number, number>();
  for (const { jobId } of service.github.executions()) runs.set(jobId, (runs.get(jobId) ?? 0) + 1);
  const lost = service.github.jobs().filter(({ conclusion }) => conclusion !== 'success').length;
  return [
    { what: 'jobs that ran twice', value: [...runs.values()].filter((times) => times > 1).length, most: 0 },
    { what: 'jobs without success', value: lost, most: 0 },
    { what: 'left behind', value: await left(), most: 0 },
  ];
}

export function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
