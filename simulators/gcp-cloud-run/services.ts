/** Services of Cloud Run with one instance each, as far as a deployment needs them. No requests are routed to them. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { type Container, ContainerHost } from '../containers/host.ts';
import type { Method } from '../google/grpc.ts';
import type { Logs } from '../google/logging.ts';
import type { Operations } from '../google/operations.ts';
import { GoogleRefusal } from '../google/status.ts';
import type { CloudRunSimulatorOptions } from './options.ts';
import type { Secrets } from './secrets.ts';

const texts = z.record(z.string(), z.string()).default({});
const serviceMessage = z.looseObject({
  labels: texts,
  ingress: z.string().default(''),
  invokerIamDisabled: z.boolean().default(false),
  template: z.looseObject({
    revision: z.string().default(''),
    serviceAccount: z.string().default(''),
    scaling: z.looseObject({
      minInstanceCount: z.number().default(0),
      maxInstanceCount: z.number().default(100),
    }),
    containers: z
      .array(
        z.looseObject({
          image: z.string().min(1),
          command: z.array(z.string()).default([]),
          args: z.array(z.string()).default([]),
          env: z.array(z.looseObject({ name: z.string(), value: z.string().default('') })).default([]),
          ports: z
            .array(z.looseObject({ containerPort: z.number() }))
            .max(1)
            .default([]),
          volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string() })).default([]),
        }),
      )
      .min(1),
    volumes: z
      .array(
        z.looseObject({
          name: z.string(),
          secret: z
            .looseObject({
              secret: z.string(),
              items: z.array(z.looseObject({ path: z.string(), version: z.string().default('') })).default([]),
            })
            .optional(),
        }),
      )
      .default([]),
  }),
});
export type ServiceMessage = z.infer<typeof serviceMessage>;

const creation = z.looseObject({
  parent: z.string(),
  serviceId: z.string().regex(/^[a-z]([a-z0-9-]{0,47}[a-z0-9])?$/, 'service_id is invalid'),
  service: serviceMessage,
});
const named = z.looseObject({ name: z.string() });

interface Service {
  readonly name: string;
  readonly uid: string;
  readonly message: ServiceMessage;
  readonly createSeconds: number;
  outcome: 'ready' | { readonly reason: string; readonly message: string } | undefined;
  container: Container | undefined;
  deleted: boolean;
}

export interface ServicesOptions {
  readonly options: CloudRunSimulatorOptions;
  readonly project: string;
  readonly location: string;
  readonly logs: Logs;
  readonly secrets: Secrets;
}

export class Services {
  readonly all = new Map<string, Service>();
  readonly parent: string;
  readonly #options: ServicesOptions;
  readonly #host: ContainerHost;

  constructor(options: ServicesOptions) {
    this.#options = options;
    this.parent = `projects/${options.project}/locations/${options.location}`;
    this.#host = new ContainerHost(options.options);
  }

  create(id: string, message: ServiceMessage): Service {
    const name = `${this.parent}/services/${id}`;
    if (this.all.has(name)) throw new GoogleRefusal('ALREADY_EXISTS', `Resource '${id}' already exists.`);
    const { revision } = message.template;
    if (revision !== '' && (!revision.startsWith(`${id}-`) || revision.length > 63)) {
      throw new GoogleRefusal('INVALID_ARGUMENT', 'Revision name must be prefixed by the service name.');
    }
    const service: Service = {
      ...{ name, message, uid: randomUUID() },
      createSeconds: Math.floor(Date.now() / 1000),
      ...{ outcome: undefined, container: undefined, deleted: false },
    };
    this.all.set(name, service);
    this.#start(service).catch((error: unknown) => {
      service.outcome = { reason: 'INTERNAL', message: String(error) };
    });
    return service;
  }

  /** SIGTERM, and SIGKILL after the grace period. */
  async delete(service: Service): Promise<void> {
    service.deleted = true;
    await service.container?.stop(this.#options.options.graceMs ?? 10_000);
    this.all.delete(service.name);
  }

  there(name: string): Service {
    const service = this.all.get(name);
    if (service === undefined) {
      throw new GoogleRefusal('NOT_FOUND', `Resource '${name.slice(name.lastIndexOf('/') + 1)}' was not found.`);
    }
    return service;
  }

  view({ name, uid, message, createSeconds, outcome, deleted }: Service): object {
    const id = name.slice(name.lastIndexOf('/') + 1);
    const state =
      outcome === undefined
        ? 'CONDITION_RECONCILING'
        : outcome === 'ready'
          ? 'CONDITION_SUCCEEDED'
          : 'CONDITION_FAILED';
    const failure = typeof outcome === 'object' ? outcome : {};
    const at = { seconds: createSeconds, nanos: 0 };
    return {
      ...message,
      ...{ name, uid, generation: 1, createTime: at, updateTime: at },
      ...(deleted ? { deleteTime: at } : {}),
      terminalCondition: { type: 'Ready', state, ...failure },
      latestCreatedRevision: `${name}/revisions/${message.template.revision || `${id}-00001-abc`}`,
      uri: `https://${id}-1234567890.${name.split('/')[3]}.run.app`,
      reconciling: outcome === undefined || deleted,
    };
  }

  async close(): Promise<void> {
    await this.#host.close();
  }

  async #start(service: Service): Promise<void> {
    const { logs, project, location, secrets } = this.#options;
    const { containers, serviceAccount, volumes, revision } = service.message.template;
    const [first] = containers;
    if (first === undefined) throw new Error('a service has a container');
    await new Promise((resolve) => setTimeout(resolve, this.#options.options.readyMs ?? 20));
    if (!this.#host.has(first.image)) {
      service.outcome = { reason: 'CONTAINER_MISSING', message: `Image '${first.image}' not found.` };
      return;
    }
    const files: Record<string, string> = {};
    for (const { name, mountPath } of first.volumeMounts) {
      const source = volumes.find((volume) => volume.name === name)?.secret;
      for (const { path, version } of source?.items ?? []) {
        const text = secrets.read(source?.secret ?? '', version, serviceAccount);
        if (text === undefined) {
          const message = `Permission denied on secret: ${source?.secret} for Revision service account ${serviceAccount}.`;
          service.outcome = { reason: 'SECRETS_ACCESS_CHECK_FAILED', message };
          return;
        }
        files[`${mountPath}/${path}`] = text;
      }
    }
    const container = await this.#host.start({
      image: first.image,
      ...(first.command.length === 0 ? {} : { command: first.command }),
      ...(first.args.length === 0 ? {} : { args: first.args }),
      environment: {
        ...Object.fromEntries(first.env.map(({ name, value }) => [name, value])),
        PORT: String(first.ports[0]?.containerPort ?? 8080),
      },
      files,
    });
    service.container = container;
    logs.add({
      logName: `projects/${project}/logs/run.googleapis.com%2Fstdout`,
      resource: {
        type: 'cloud_run_revision',
        labels: {
          project_id: project,
          location,
          service_name: service.name.slice(service.name.lastIndexOf('/') + 1),
          revision_name: revision,
        },
      },
      labels: {},
      startedAtMs: Date.now(),
      output: () => container.output(),
    });
    if (service.deleted) await container.stop(0);
    // It waits for the port; here it is enough that the container does not end at once.
    const early = await Promise.race([
      container.ended,
      new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), this.#options.options.startMs ?? 300)),
    ]);
    service.outcome =
      early === undefined
        ? 'ready'
        : {
            reason: 'REVISION_FAILED',
            message: 'The user-provided container failed to start and listen on the port defined by the PORT variable.',
          };
  }
}

export function serviceMethods(
  services: Services,
  operations: Operations,
): Readonly<Record<string, Readonly<Record<string, Method>>>> {
  const packed = (service: Service) => ({
    '@type': 'type.googleapis.com/google.cloud.run.v2.Service' as const,
    ...services.view(service),
  });
  const begun = (service: Service, ended: () => boolean): object =>
    operations.begin({
      parent: services.parent,
      metadata: () => packed(service),
      result: () => (ended() ? { response: packed(service) } : undefined),
    });
  return {
    'google.cloud.run.v2.Services': {
      CreateService: (request) => {
        const { parent, serviceId, service } = read(creation, request);
        if (parent !== services.parent)
          throw new GoogleRefusal('PERMISSION_DENIED', `Permission denied on '${parent}'.`);
        const made = services.create(serviceId, service);
        return begun(made, () => made.outcome !== undefined);
      },
      GetService: (request) => services.view(services.there(read(named, request).name)),
      ListServices: () => ({ services: [...services.all.values()].map((service) => services.view(service)) }),
      DeleteService: (request) => {
        const service = services.there(read(named, request).name);
        if (!service.deleted) void services.delete(service);
        return begun(service, () => !services.all.has(service.name));
      },
    },
  };
}

function read<T extends z.ZodType>(schema: T, request: object): z.infer<T> {
  const parsed = schema.safeParse(request);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new GoogleRefusal('INVALID_ARGUMENT', `Violation in ${issue?.path.join('.')}: ${issue?.message}`);
}
