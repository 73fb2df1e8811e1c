/** What is reserved of the dispatcher's runners: it has to be there, and a tenant's registrations share the tenant's. */
import { cureOf } from '../admission/grants.ts';
import { quote } from '../labels/values.ts';
import type { Grant, Registration, TenantEntry } from '../model/registration.ts';
import { heldFirst, type Overlap } from './overlaps.ts';
import type { Reading } from './reading.ts';
import { registrationFile, type TenantFile } from './schema.ts';

/** Of the tenants. `maxRunners`: what the dispatcher may have. */
export function checkReservations(
  reading: Reading,
  files: Readonly<Record<string, TenantFile>>,
  maxRunners: number,
): void {
  let sum = 0;
  for (const [name, file] of Object.entries(files)) {
    const { limits, reservedRunners = 0, trusted } = file;
    const path = (key: string) => ['tenants', name, key];
    if (trusted === true) {
      for (const key of ['reservedRunners', 'weight'] as const) {
        if (file[key] === undefined) continue;
        const cure = `Write \`${key}\` in its registrations, or remove \`trusted\`.`;
        reading.problem(path(key), "the registrations of a trusted tenant are the platform's own", cure);
      }
      continue;
    }
    if (limits?.maxRunners !== undefined && reservedRunners > limits.maxRunners) {
      reading.problem(
        path('reservedRunners'),
        `${reservedRunners} runners are reserved, and the tenant may have ${limits.maxRunners}`,
        'Reserve fewer, or raise `limits.maxRunners` of the tenant.',
      );
    }
    sum += reservedRunners;
    if (sum <= maxRunners || reservedRunners === 0) continue;
    reading.problem(
      path('reservedRunners'),
      `with this the tenants have ${sum} runners reserved, and the dispatcher has ${maxRunners}`,
      'Reserve fewer, or raise `limits.maxRunners` of the dispatcher.',
    );
  }
}

/** Of one registration, as far as its own file and its grant tell. */
export function readShare(
  reading: Reading,
  grant: Grant | undefined,
  maxRunners: number,
): Pick<Registration, 'reservedRunners' | 'weight'> {
  const { shape } = registrationFile;
  const reservedRunners = reading.section(['reservedRunners'], shape.reservedRunners);
  const weight = reading.section(['weight'], shape.weight);
  if (reservedRunners !== undefined && reservedRunners > maxRunners) {
    reading.problem(
      ['reservedRunners'],
      `${reservedRunners} runners are reserved, and the registration may have ${maxRunners}`,
      'Reserve fewer, or raise `maxRunners`.',
    );
  }
  if (grant !== undefined && weight !== undefined) {
    reading.problem(
      ['weight'],
      'the platform gives weights to tenants',
      `Remove it. ${cureOf(grant, { field: 'weight', what: '', value: weight })}`,
    );
  }
  return {
    ...(reservedRunners === undefined ? {} : { reservedRunners }),
    ...(weight === undefined ? {} : { weight }),
  };
}

/**
 * What shows only once all are read: more is reserved than there is. `maxRunners` undefined: it is not known. `heldBefore`: what
 * a registration had reserved already comes first, so that who asks for more takes it from nobody. What does not fit takes
 * nothing from those after it.
 */
export function findOverReserved(
  registrations: readonly Registration[],
  tenants: readonly TenantEntry[] | undefined,
  maxRunners: number | undefined,
  heldBefore: (registration: Registration) => number = () => 0,
): readonly Overlap[] {
  const ofTenants = new Map<string, number>();
  let all = (tenants ?? []).reduce((sum, { grant }) => sum + (grant?.reservedRunners ?? 0), 0);
  const take = (registration: Registration, runners: number): Overlap | undefined => {
    const { grant } = registration;
    const path = ['reservedRunners'];
    if (grant === undefined) {
      const sum = all + runners;
      if (maxRunners === undefined || sum <= maxRunners) {
        all = sum;
        return undefined;
      }
      const message = `with this ${sum} runners are reserved, and the dispatcher has ${maxRunners}`;
      const cure = 'Reserve fewer, or raise `limits.maxRunners` in dispatcher.yaml.';
      return { registration, path, message, cure };
    }
    const sum = (ofTenants.get(grant.tenant) ?? 0) + runners;
    if (sum <= (grant.reservedRunners ?? 0)) {
      ofTenants.set(grant.tenant, sum);
      return undefined;
    }
    const message = `with this the registrations of tenant ${quote(grant.tenant)} reserve ${sum} runners, and ${grant.reservedRunners ?? 0} are reserved for it`;
    const cure = `Reserve fewer. ${cureOf(grant, { field: 'reservedRunners', what: '', value: sum })}`;
    return { registration, path, message, cure };
  };
  return heldFirst(registrations, ({ reservedRunners = 0 }) => reservedRunners, heldBefore, take);
}
