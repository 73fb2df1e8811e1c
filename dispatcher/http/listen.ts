import type { Server } from 'node:http';
import type { ListenOptions } from 'node:net';
import type { Clock } from '../../time/clock.ts';

/** Port 0 picks a free one; returns the port. Rejects with the system's error, such as EADDRINUSE. */
export function listenOn(server: Server, where: ListenOptions & { readonly port: number }): Promise<number> {
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
export function closeWithin(server: Server, withinMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(withinMs, () => server.closeAllConnections());
    server.close(() => {
      cancel();
      resolve();
    });
  });
}
