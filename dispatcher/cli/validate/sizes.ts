/** What a runner has without labels, and what the backends of its registration sell. */
import { applyPolicy } from '../../admission/policy.ts';
import type { Inspection } from '../../config/load.ts';
import type { Problem } from '../../model/problem.ts';
import { loadFits } from '../fits.ts';

/** Whether the backends offer the shape that a runner has by default: a problem if none does. */
export async function unfitSizes(
  { registrations, quarantined, placeOf }: Inspection,
  which: 'without problems' | 'all' = 'without problems',
): Promise<{ problems: Problem[]; notes: Problem[] }> {
  const problems: Problem[] = [];
  const notes: Problem[] = [];
  const wrong = new Set(which === 'all' ? [] : quarantined.map(({ name }) => name));
  for (const registration of registrations) {
    if (wrong.has(registration.name)) continue;
    const answer = applyPolicy(registration, []);
    if (!answer.granted) continue;
    const fits = await loadFits(registration);
    const refusals = [...fits.providers].flatMap(([backend, provider]) => {
      const fit = provider.fit(answer.grant.wish);
      return fit.fits ? [] : [`${backend}: ${fit.reason}`];
    });
    await fits.close();
    if (refusals.length === 0) continue;
    const none = refusals.length === registration.backends.length;
    (none ? problems : notes).push({
      file: (await placeOf(registration.name, ['defaults']))?.file ?? registration.name,
      line: 0,
      column: 0,
      path: 'defaults',
      message: `${none ? 'no backend has' : 'not every backend has'} what a runner gets without labels (${refusals.join('; ')})`,
      cure: none ? 'Change `defaults`, or add a backend that has it.' : 'The others serve such jobs.',
    });
  }
  return { problems, notes };
}
