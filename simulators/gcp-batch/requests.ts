/** Validates requests, before anything is started. */
import { z } from 'zod';
import { GoogleRefusal } from '../google/status.ts';

const text = z.string().default('');
const int64 = z
  .string()
  .default('0')
  .transform((digits) => Number(digits));
const labels = z.record(z.string(), z.string()).default({});
const duration = z.object({ seconds: int64, nanos: z.number().default(0) });
const environment = z.object({
  variables: z.record(z.string(), z.string()).default({}),
  encryptedVariables: z.object({ keyName: z.string().min(1), cipherText: z.string().min(1) }).optional(),
});

const container = z.object({
  imageUri: z.string().min(1),
  entrypoint: text,
  commands: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  options: text,
  username: text,
  password: text,
});

/** As on the wire, decoded: fields missing here are ignored by the simulator, but still returned by GetJob. */
export const job = z.object({
  labels,
  taskGroups: z
    .array(
      z.object({
        taskCount: int64.default(1),
        taskSpec: z.object({
          runnables: z
            .array(
              z.object({
                container: container.optional(),
                script: z.object({ text, path: text }).optional(),
                environment: environment.default({ variables: {} }),
              }),
            )
            .min(1),
          computeResource: z.object({ cpuMilli: int64, memoryMib: int64 }).optional(),
          maxRunDuration: duration.optional(),
          maxRetryCount: z.number().min(0).max(10).default(0),
          environment: environment.default({ variables: {} }),
          volumes: z
            .array(
              z.object({
                deviceName: text,
                gcs: z.object({ remotePath: z.string().min(1) }).optional(),
                mountPath: text,
              }),
            )
            .default([]),
        }),
      }),
    )
    .length(1, 'exactly one task group is supported'),
  allocationPolicy: z
    .object({
      location: z.object({ allowedLocations: z.array(z.string()).default([]) }).default({ allowedLocations: [] }),
      instances: z
        .array(
          z.object({
            policy: z
              .object({
                machineType: text,
                provisioningModel: z.string().default('STANDARD'),
                disks: z.array(z.object({ deviceName: text })).default([]),
              })
              .optional(),
          }),
        )
        .max(1)
        .default([]),
      serviceAccount: z.object({ email: text }).default({ email: '' }),
      labels,
      network: z
        .object({
          networkInterfaces: z
            .array(z.object({ network: text, subnetwork: text, noExternalIpAddress: z.boolean().default(false) }))
            .default([]),
        })
        .default({ networkInterfaces: [] }),
      tags: z.array(z.string()).default([]),
    })
    .prefault({}),
  logsPolicy: z.object({ destination: text }).default({ destination: '' }),
});
export type WantedJob = z.output<typeof job>;

const createJob = z.object({
  parent: z.string(),
  jobId: z.string(),
  requestId: text,
  job: z.looseObject({}),
});

const named = z.object({ name: z.string() });
const listing = z.object({
  parent: text,
  filter: text,
  pageSize: z.number().default(0),
  pageToken: text,
});

const MAX_RUN_S = 14 * 24 * 3600;
const MAX_LABELS = 63;
const NAME = /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function readCreate(request: object): {
  readonly parent: string;
  readonly jobId: string;
  readonly requestId: string;
  /** As received, for GetJob. */
  readonly raw: object;
  readonly wanted: WantedJob;
} {
  const { parent, jobId, requestId, job: raw } = read(createJob, request);
  if (!NAME.test(jobId)) refuse(`job_id ${JSON.stringify(jobId)} does not match ${NAME.source}`);
  if (requestId !== '' && (!UUID.test(requestId) || /^[0-]+$/.test(requestId))) {
    refuse(`request_id ${requestId} is not a valid UUID`);
  }
  const wanted = read(job, raw);
  checkLabels(wanted.labels, MAX_LABELS);
  checkLabels(wanted.allocationPolicy.labels, MAX_LABELS - 2);
  const all = new Set([...Object.keys(wanted.labels), ...Object.keys(wanted.allocationPolicy.labels)]);
  if (all.size > MAX_LABELS) refuse(`a job has at most ${MAX_LABELS} custom labels, not ${all.size}`);
  for (const group of wanted.taskGroups) checkTask(group.taskSpec, wanted);
  for (const { noExternalIpAddress, network, subnetwork } of wanted.allocationPolicy.network.networkInterfaces) {
    if (noExternalIpAddress && (network === '' || subnetwork === '')) {
      refuse('network and subnetwork are required where no_external_ip_address is set');
    }
  }
  for (const tag of wanted.allocationPolicy.tags) if (!NAME.test(tag)) refuse(`${tag} is not a valid network tag`);
  return { parent, jobId, requestId, raw, wanted };
}

export const readNamed = (request: object): string => read(named, request).name;
export const readListing = (request: object): z.output<typeof listing> => read(listing, request);

function checkTask(task: WantedJob['taskGroups'][number]['taskSpec'], wanted: WantedJob): void {
  const seconds = task.maxRunDuration?.seconds ?? 0;
  if (seconds > MAX_RUN_S) refuse(`max_run_duration is at most ${MAX_RUN_S}s, not ${seconds}s`);
  const policy = wanted.allocationPolicy.instances[0]?.policy;
  const machine = policy === undefined ? undefined : sizeOf(policy.machineType);
  if (policy !== undefined && machine === undefined) refuse(`machine type ${policy.machineType} is not known`);
  const { cpuMilli = 2000, memoryMib = 2000 } = task.computeResource ?? {};
  if (machine !== undefined && (cpuMilli > machine.cpu * 1000 || memoryMib > machine.memoryGiB * 1024)) {
    refuse(`compute_resource (${cpuMilli} milli, ${memoryMib} MiB) is more than ${policy?.machineType} has`);
  }
  const devices = new Set(policy?.disks.map((disk) => disk.deviceName));
  for (const volume of task.volumes) {
    if (!volume.mountPath.startsWith('/mnt/disks/')) refuse(`mount_path ${volume.mountPath} is not under /mnt/disks/`);
    if (volume.gcs === undefined && !devices.has(volume.deviceName)) {
      refuse(`volume ${volume.deviceName} matches no device_name of the disks`);
    }
  }
  for (const runnable of task.runnables) {
    if ((runnable.container === undefined) === (runnable.script === undefined)) {
      refuse('a runnable is exactly one of container, script, barrier');
    }
    for (const bind of runnable.container?.volumes ?? []) {
      if (!/^\/[^:]+:\/[^:]+(:r[ow])?$/.test(bind)) refuse(`${bind} is not a volume of docker run`);
    }
  }
}

const perCore: Readonly<Record<string, number>> = { standard: 4, highmem: 8, highcpu: 1 };

/** By Compute Engine's naming rule, so that the simulator does not share a table with the code under test. */
export function sizeOf(type: string): { readonly cpu: number; readonly memoryGiB: number } | undefined {
  if (type === 'e2-medium') return { cpu: 2, memoryGiB: 4 };
  const [, family, kind, cores] = /^(e2|n2|n2d|c3|t2d|t2a)-(standard|highmem|highcpu)-(\d+)$/.exec(type) ?? [];
  if (family === undefined || kind === undefined || cores === undefined) return undefined;
  const cpu = Number(cores);
  const gib = kind === 'highcpu' && family === 'c3' ? 2 : (perCore[kind] ?? 0);
  return { cpu, memoryGiB: type === 'n2-highmem-128' ? 864 : cpu * gib };
}

function checkLabels(found: Readonly<Record<string, string>>, most: number): void {
  const all = Object.entries(found);
  if (all.length > most) refuse(`at most ${most} labels, not ${all.length}`);
  for (const [key, value] of all) {
    if (!/^[a-z][a-z0-9_-]{0,62}$/.test(key) || !/^[a-z0-9_-]{0,63}$/.test(value)) {
      refuse(`label ${JSON.stringify(key)}=${JSON.stringify(value)} has characters or a length that labels have not`);
    }
    if (/^(goog|google)-/.test(key)) refuse(`label ${key} is reserved`);
  }
}

function read<T extends z.ZodType>(schema: T, request: object): z.output<T> {
  const parsed = schema.safeParse(request);
  if (!parsed.success) throw new GoogleRefusal('INVALID_ARGUMENT', z.prettifyError(parsed.error));
  return parsed.data;
}

function refuse(message: string): never {
  throw new GoogleRefusal('INVALID_ARGUMENT', message);
}
