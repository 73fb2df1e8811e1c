/** How many connections the listeners may hold, given the process's limit of open files. */
import { readFile } from 'node:fs/promises';
import type { Log } from '../log.ts';
import { defaultAdminLimits } from './admin.ts';
import type { AdminLimits } from './admin-app.ts';
import { defaultPublicLimits, type PublicLimits } from './public.ts';

/** From here on the listeners get all the connections they ask for. */
export const ENOUGH_OPEN_FILES = 8_192;

export interface ConnectionShares {
  readonly public: Pick<PublicLimits, 'maxConnections' | 'backlog'>;
  readonly admin: Pick<AdminLimits, 'maxConnections'>;
}

/**
 * The public listener gets three quarters, a third of it for connections that arrive while others give way. The admin
 * listener gets part of the last quarter, and the rest is for the ledger, GitHub and the clouds.
 */
export function connectionShares(openFiles: number): ConnectionShares {
  const most = defaultPublicLimits.maxConnections + defaultPublicLimits.backlog;
  const all = Math.min(most, Math.floor((openFiles * 3) / 4));
  const maxConnections = Math.min(defaultPublicLimits.maxConnections, Math.floor((all * 2) / 3));
  return {
    public: { maxConnections, backlog: all - maxConnections },
    admin: { maxConnections: Math.min(defaultAdminLimits.maxConnections, Math.floor(openFiles / 32)) },
  };
}

/** Says so if the process may open fewer files than the listeners would use. */
export function logFewOpenFiles(openFiles: number, log: Pick<Log, 'warn'>): void {
  if (openFiles >= ENOUGH_OPEN_FILES) return;
  log.warn('few-open-files', {
    openFiles,
    connections: connectionShares(openFiles).public.maxConnections,
    reason: 'the process may open few files: fewer connections fit, and those of senders who wait give way sooner',
    cure: `raise the hard limit to ${ENOUGH_OPEN_FILES}: LimitNOFILE= of systemd, ulimits of Docker, ulimit -Hn of a shell`,
  });
}

/**
 * For this process. Node raises the soft limit to the hard one when it starts. Infinity if there is none, or if the
 * system does not say (only Linux does).
 */
export async function openFilesLimit(file = '/proc/self/limits'): Promise<number> {
  const limits = await readFile(file, 'utf8').catch(() => '');
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? [];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
