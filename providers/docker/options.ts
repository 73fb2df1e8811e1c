import { z } from 'zod';
import { RUNNER_COMMAND } from '../kit/runner-command.ts';

const absolutePath = z.string().startsWith('/', 'must be an absolute path');
const pem = z.string().includes('-----BEGIN', 'must be a PEM text, not a path');

/** The `options` of a backend of kind `docker`. */
export const dockerOptions = z
  .strictObject({
    /** The engine on this machine. Without it and `host`: resolved as by the docker command (DOCKER_HOST, contexts). */
    socketPath: absolutePath.optional(),
    /** A remote engine. */
    host: z.string().min(1).optional(),
    port: z.int().min(1).max(65_535).optional(),
    /** Default: `https` if a certificate is given, else `http`. */
    protocol: z.enum(['http', 'https']).optional(),
    /** PEM texts, not paths. */
    ca: pem.optional(),
    cert: pem.optional(),
    key: pem.optional(),

    /** A user-defined network of the engine. Default: the engine's own `bridge`. */
    network: z.string().min(1).optional(),
    /** `name:address` lines for /etc/hosts; the address `host-gateway` is the engine's machine. */
    extraHosts: z.array(z.string().regex(/^[^:\s]+:\S+$/, 'write name:address')).default([]),
    /** Maximum number of processes and threads in one container. */
    pidsLimit: z.int().min(8).max(4_194_304).default(4096),
    /**
     * Command of the container. Default: see `RUNNER_COMMAND`. `image`: the image's own. Never a secret.
     */
    command: z
      .union([z.array(z.string()).min(1), z.literal('image')], 'write a list of words, or `image` for its own command')
      .default([...RUNNER_COMMAND]),
    /** User in the container: `uid[:gid]` or a name. Default: the image's own. */
    runtimeUser: z.string().min(1).optional(),
    /** Linux capabilities to drop, `ALL` for all. */
    capDrop: z.array(z.string().regex(/^[A-Z_]+$/, 'write a capability such as NET_RAW, or ALL')).default([]),
    /** Makes the root file system read-only; /tmp and /run are in memory. */
    readOnlyRootfs: z.boolean().default(false),
    /** Lets jobs that ask for Docker in Docker (`dind`) run privileged, which is root on the engine's machine. */
    privileged: z.boolean().default(false),

    /** `missing`: pulled if the engine does not have it. `never`: then the job is refused. */
    pull: z.enum(['missing', 'never']).default('missing'),
    registryAuth: z
      .strictObject({ server: z.string().min(1), username: z.string().min(1), password: z.string().min(1) })
      .optional(),
    pullTimeoutMs: z.int().min(1000).max(3_600_000).default(240_000),

    /** The runner's work folder in the container. With `bucketRoot`, a job's bucket is mounted here. */
    workFolder: absolutePath.optional(),
    /** A folder on the engine's machine whose subfolders are the buckets (`disk-BUCKET`). */
    bucketRoot: absolutePath.optional(),

    /** Architecture of the engine's machine. Default: the dispatcher's. */
    architecture: z.enum(['x64', 'arm64']).optional(),
    /**
     * `bounded`: json-file, two files of 1 MB. `engine`: the engine's configured driver, which must support reading.
     */
    logging: z.enum(['bounded', 'engine']).default('bounded'),
    /** Grace period between SIGTERM and SIGKILL. */
    stopGraceS: z.int().min(0).max(20).default(5),
    /** Time limit for each call to the engine. */
    timeoutMs: z.int().min(100).max(300_000).default(20_000),
  })
  .superRefine((options, context) => {
    const refuse = (path: string, message: string): void => context.addIssue({ code: 'custom', path: [path], message });
    if (options.socketPath !== undefined && options.host !== undefined) {
      refuse('host', 'cannot be combined with socketPath: give one of them, not both');
    }
    if (options.host === undefined) {
      for (const name of ['port', 'protocol', 'ca', 'cert', 'key'] as const) {
        if (options[name] !== undefined) refuse(name, 'applies to a remote engine only: give host too');
      }
    } else if (options.port === undefined) {
      refuse('port', 'is missing: write 2376 (usual with TLS) or 2375 (without)');
    }
    if ((options.cert === undefined) !== (options.key === undefined)) {
      refuse('cert', 'cert and key go together');
    }
    if (options.protocol === 'http' && (options.ca !== undefined || options.cert !== undefined)) {
      refuse('protocol', 'http sends no certificates: write https');
    }
    if (options.bucketRoot !== undefined && options.workFolder === undefined) {
      refuse('workFolder', 'is missing: name the folder of the container where the bucket appears');
    }
  });

export type DockerOptions = z.infer<typeof dockerOptions>;
