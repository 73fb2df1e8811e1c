/** How many connections the listeners may hold in a process that may open so many files, and no more. */
import { readFile } from 'node:fs/promises';
import { type AdminLimits, defaultAdminLimits } from './admin.ts';
import { defaultPublicLimits, type PublicLimits } from './public.ts';

/** From here on the listeners have all the connections that they ask for. */
export const ENOUGH_OPEN_FILES = 8_192;

export interface ConnectionShares {
  readonly public: Pick<PublicLimits, 'maxConnections' | 'backlog'>;
  readonly admin: Pick<AdminLimits, 'maxConnections'>;
}

/**
 * The public listener has three quarters, a third of it for connections that come while others give way. Of the last
 * quarter the admin listener has a part, and what is left is for the ledger, for GitHub and for the clouds.
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
 * Of this process. Node has raised the soft limit to the hard one when it started. Infinity where there is none, or where
 * the system does not tell (only Linux does).
 */
export async function openFilesLimit(file = '/proc/self/limits'): Promise<number> {
  const limits = await readFile(file, 'utf8').catch(() => '');
  const [, soft] = /^Max open files +(\d+) /m.exec(limits) ?? [];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
