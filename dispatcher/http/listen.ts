import type { ListenOptions } from 'node:net';
import type { Clock } from '../../time/clock.ts';
import type { PipelineServer } from './pipelines.ts';

/** Port 0 picks a free one; returns the port. Rejects with the system's error, such as EADDRINUSE. */
export function listenOn(server: PipelineServer, where: ListenOptions & { readonly port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : where.port);
    });
  });
}

/** Accepts no more connections, and cuts off whatever is not done after `withinMs`. */
export function closeWithin(server: PipelineServer, withinMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(withinMs, () => server.closeAllConnections());
    server.close(() => {
      cancel();
      resolve();
    });
  });
}
