/** The data of the simulated service, in the form of its messages. */
import { z } from 'zod';
import type { Container } from '../containers/host.ts';

const texts = z.record(z.string(), z.string()).default({});
const variable = z.looseObject({ name: z.string(), value: z.string().default('') });
const container = z.looseObject({
  name: z.string().default(''),
  image: z.string().default(''),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z.array(variable).default([]),
  resources: z.looseObject({ limits: texts }).default({ limits: {} }),
  volumeMounts: z.array(z.looseObject({ name: z.string(), mountPath: z.string().default('') })).default([]),
});
const duration = z.looseObject({ seconds: z.coerce.number().default(0) });

export const taskTemplate = z.looseObject({
  containers: z.array(container).default([]),
  volumes: z.array(z.looseObject({ name: z.string() })).default([]),
  maxRetries: z.number().default(3),
  timeout: duration.default({ seconds: 600 }),
  serviceAccount: z.string().default(''),
  vpcAccess: z
    .looseObject({
      connector: z.string().default(''),
      networkInterfaces: z
        .array(z.looseObject({ network: z.string().default(''), subnetwork: z.string().default('') }))
        .default([]),
    })
    .optional(),
});
export type TaskTemplate = z.infer<typeof taskTemplate>;

export const jobMessage = z.looseObject({
  labels: texts,
  annotations: texts,
  template: z.looseObject({
    labels: texts,
    annotations: texts,
    parallelism: z.number().default(0),
    taskCount: z.number().default(1),
    template: taskTemplate,
  }),
});
export type JobMessage = z.infer<typeof jobMessage>;

export const overrides = z.looseObject({
  containerOverrides: z
    .array(
      z.looseObject({
        name: z.string().default(''),
        args: z.array(z.string()).default([]),
        env: z.array(variable).default([]),
        clearArgs: z.boolean().default(false),
      }),
    )
    .default([]),
  taskCount: z.number().default(0),
  timeout: duration.optional(),
});
export type Overrides = z.infer<typeof overrides>;

export interface Time {
  readonly seconds: number;
  readonly nanos: number;
}

export interface Failure {
  readonly reason?: string;
  readonly message: string;
}

export interface Job {
  readonly name: string;
  readonly uid: string;
  readonly message: JobMessage;
  readonly createTime: Time;
  /** Undefined while it is being validated. */
  outcome: 'ready' | Failure | undefined;
  executionCount: number;
  latest: Execution | undefined;
}

export interface Execution {
  readonly name: string;
  readonly uid: string;
  readonly job: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly createTime: Time;
  readonly template: TaskTemplate;
  container: Container | undefined;
  startTime: Time | undefined;
  end: End | undefined;
  cancelled: boolean;
  deleteTime: Time | undefined;
  /** A state for which clients have no name. */
  odd: boolean;
}

export interface End {
  readonly time: Time;
  readonly kind: 'succeeded' | 'failed' | 'cancelled';
  readonly message: string;
  readonly exitCode?: number;
  readonly termSignal?: number;
  /** Reason of the condition, if it is one of Condition.CommonReason. */
  readonly reason?: string;
}

export function millisOf(time: Time): number {
  return time.seconds * 1000 + Math.floor(time.nanos / 1e6);
}
