import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { homedir, hostname } from 'node:os';
import { dockerOptions } from '../../providers/docker/options.ts';
import { type EnginePlace, engineOf } from '../../providers/docker/place.ts';
import { type DeployerModule, DeploymentRefused, type TargetWish } from '../deployer.ts';
import { DockerDeployer } from './deployer.ts';

const USUAL_SOCKET = '/var/run/docker.sock';

const module: DeployerModule = {
  create({ options, network, environment }, host) {
    const engine = dockerOptions.parse(options);
    const place = placeOf(engine, environment);
    return new DockerDeployer(
      {
        engine,
        place,
        ...(network === undefined ? {} : { network }),
        socketGroup: () => groupOfSocket(place),
        hostName: place.found && 'host' in place.address ? place.address.host : hostname(),
        endsWithWorkflow:
          environment['GITHUB_ACTIONS'] === 'true' &&
          network === undefined &&
          place.found &&
          'socketPath' in place.address,
      },
      host,
    );
  },
  engineSocket(options, environment) {
    const engine = dockerOptions.parse(options);
    if (engine.host !== undefined) return undefined;
    const place = placeOf(engine, environment);
    if (place.found && 'socketPath' in place.address) {
      return { source: place.address.socketPath, target: engine.socketPath ?? USUAL_SOCKET };
    }
    throw new DeploymentRefused(
      'a backend of kind docker uses the engine that this environment names, which the deployed dispatcher does not know',
      'Write `host` or `socketPath` into its options.',
    );
  },
};
export default module;

function placeOf(options: ReturnType<typeof dockerOptions.parse>, variables: TargetWish['environment']): EnginePlace {
  return engineOf(options, {
    variables,
    home: homedir(),
    read(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch {
        return undefined;
      }
    },
  });
}

/** The file of another machine cannot be looked at. */
async function groupOfSocket(place: EnginePlace): Promise<number> {
  if (place.found && 'socketPath' in place.address) return (await stat(place.address.socketPath)).gid;
  throw new DeploymentRefused(
    `the group of ${USUAL_SOCKET} on the engine's machine is not known here`,
    'Deploy on that machine, or give the registration a backend with `host`.',
  );
}
