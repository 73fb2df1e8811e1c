/** How many connections the listeners may hold, given the process's limit of open files. */
import { readFile } from 'node:fs/promises';
import { type AdminLimits, defaultAdminLimits } from './admin.ts';
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

/**
 * For this process. Node raises the soft limit to the hard one when it starts. Infinity if there is none, or if the
 * system does not say (only Linux does).
 */
export async function openFilesLimit(file = '/proc/self/limits'): Promise<number> {
  const limits = await readFile(file, 'utf8').catch(() => '');
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? [];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
