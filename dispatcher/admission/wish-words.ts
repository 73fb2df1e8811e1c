/** What a job gets, in one line for people. Pure. */
import type { ShapeWish } from '../../providers/provider.ts';
import { coresInWords } from '../../providers/shape-words.ts';
import { formatDuration } from '../labels/duration.ts';

export function shapeInWords(wish: ShapeWish): string {
  const parts: Readonly<Record<keyof ShapeWish, string | undefined>> = {
    cpu: wish.cpu === undefined ? undefined : coresInWords(wish.cpu),
    memoryGiB: wish.memoryGiB === undefined ? undefined : `${wish.memoryGiB} GiB`,
    architecture: wish.architecture,
    image: `image ${wish.image}`,
    diskGiB: wish.diskGiB === undefined ? undefined : `disk ${wish.diskGiB} GiB`,
    bucket: wish.bucket === undefined ? undefined : `bucket ${wish.bucket} under ${wish.bucketPrefix ?? ''}`,
    bucketPrefix: undefined,
    subnet: wish.subnet === undefined ? undefined : `subnet ${wish.subnet}`,
    securityGroup: wish.securityGroup === undefined ? undefined : `security group ${wish.securityGroup}`,
    region: wish.region === undefined ? undefined : `region ${wish.region}`,
    spot: wish.spot ? 'spot' : undefined,
    dockerInDocker: wish.dockerInDocker ? 'Docker in Docker' : undefined,
    timeLimitMs: wish.timeLimitMs === undefined ? undefined : `time limit ${formatDuration(wish.timeLimitMs)}`,
  };
  return Object.values(parts)
    .filter((part) => part !== undefined)
    .join(', ');
}
