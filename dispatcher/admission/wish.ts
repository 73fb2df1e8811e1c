/** What a job's runner is to have: the labels over the defaults. Pure. */
import type { ShapeWish } from '../../providers/provider.ts';
import { override } from '../labels/overrides.ts';
import type { Override } from '../labels/values.ts';
import { defined } from '../model/defined.ts';
import type { ShapeDefaults } from '../model/registration.ts';

/** `base`: the defaults, under the named shape. `image`: resolved already. */
export function wishOf(base: ShapeDefaults, overrides: readonly Override[], image: string): ShapeWish {
  const disk = override(overrides, 'disk')?.value;
  const asked = override(overrides, 'bucket')?.value;
  // "disk or bucket": whichever the label chose replaces the one in the defaults.
  const bucket = asked ?? (disk === undefined ? base.bucket : undefined);
  const diskGiB = disk ?? (asked === undefined ? base.diskGiB : undefined);
  // Other modes were refused.
  const spot = override(overrides, 'spot')?.value;
  const always = {
    architecture: override(overrides, 'architecture')?.value ?? base.architecture ?? 'x64',
    image,
    spot: spot === undefined ? (base.spot ?? false) : spot === 'only',
    dockerInDocker: override(overrides, 'dind')?.value ?? base.dockerInDocker ?? false,
  };
  return {
    ...always,
    ...defined<Omit<ShapeWish, keyof typeof always>>({
      cpu: override(overrides, 'cpu')?.value ?? base.cpu,
      memoryGiB: override(overrides, 'memory')?.value ?? base.memoryGiB,
      diskGiB,
      bucket,
      // Admission adds it: it follows from the repository.
      bucketPrefix: undefined,
      subnet: override(overrides, 'subnet')?.value ?? base.subnet,
      securityGroup: override(overrides, 'securityGroup')?.value ?? base.securityGroup,
      region: override(overrides, 'region')?.value,
      timeLimitMs: override(overrides, 'timeout')?.value ?? base.timeLimitMs,
    }),
  };
}
