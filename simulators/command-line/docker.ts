/** This machine's Docker engine beside the simulated GitHub: jobs in real containers, of the runner image with its stand-in release. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Started } from './started.ts';

const SCRIPT = path.join(import.meta.dirname, '..', '..', 'demo', 'runner-image.sh');

/** Builds the image where it is not there yet, which takes some seconds. Rejects with what the script said. */
export async function startDocker(): Promise<Started> {
  const making = promisify(execFile)(SCRIPT, { env: { ...process.env, NODE: process.execPath } });
  making.child.stderr?.pipe(process.stderr);
  const image = await making.then(
    ({ stdout }) => stdout.trim(),
    () => {
      throw new Error('the image of the runner could not be made, see above');
    },
  );
  return {
    name: 'docker',
    facts: [['image', `${image}, which stays: docker image rm ${image} removes it`]],
    // The simulated GitHub listens on the loopback interface, which a container has only on the network of the machine.
    backend: { kind: 'docker', image, options: { network: 'host', pull: 'never' } },
    close: async () => undefined,
  };
}
