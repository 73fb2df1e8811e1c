import { z } from 'zod';

/** The `options` of a backend of kind `process`. */
export const processOptions = z.strictObject({
  /** The program and its arguments. Never a secret: `ps` shows them. */
  command: z
    .array(z.string().min(1))
    .min(1, 'name the program to run, such as ["node", "runner.mjs"]')
    .meta({ examples: [['node', 'runner.mjs']] }),
  /** The folder that contains the instances' folders. Default: `shr-<uid>` in the system's temporary folder. */
  root: z.string().startsWith('/', 'must be an absolute path').optional(),
  /**
   * Added to each instance's environment. From the dispatcher's own environment only `PATH` and `LANG` are passed on.
   */
  environment: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string()).default({}),
  /** Grace period between SIGTERM and SIGKILL. */
  stopGraceMs: z.int().min(0).max(20_000).default(5_000),
  /** Time limit for the start of one instance. */
  timeoutMs: z.int().min(100).max(300_000).default(30_000),
});

export type ProcessOptions = z.infer<typeof processOptions>;
