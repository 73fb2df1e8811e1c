/** Connection limits of the admin listener: unauthenticated ones give way, and wrong tokens have to wait. */
import type { Socket } from 'node:net';
import type { Request, RequestHandler } from 'express';
import type { Clock } from '../../time/clock.ts';
import type { Log } from '../log.ts';
import type { Guesses } from './admin-access.ts';
import { addressKey, clientAddress, TrustedProxies } from './client-address.ts';
import { type Place, Places } from './places.ts';
import { WrongTokens } from './wrong-tokens.ts';

export interface AdminDoorOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly trustedProxies?: readonly string[];
}

export class AdminDoor implements Guesses {
  readonly #places: Places;
  readonly #placeOf = new WeakMap<Socket, Place>();
  readonly #proxies: TrustedProxies;
  readonly #wrongTokens: WrongTokens;

  constructor(options: AdminDoorOptions, { maxConnections }: { readonly maxConnections: number }) {
    const { clock, log } = options;
    this.#proxies = new TrustedProxies(options.trustedProxies ?? []);
    this.#wrongTokens = new WrongTokens(clock, log);
    this.#places = new Places({
      // Requests here have no body, so none can be too slow.
      limits: { maxConnections, maxUnfinishedPerAddress: maxConnections, bodyGraceMs: 0, minBodyBytesPerSecond: 0 },
      clock,
      onYield: (from) => log.debug('admin.connection-gave-way', { from }),
    });
  }

  arrive(socket: Socket): void {
    const peer = socket.remoteAddress ?? '';
    const place = this.#places.arrive(this.#proxies.has(peer) ? undefined : addressKey(peer), {
      end: () => socket.destroy(),
    });
    this.#placeOf.set(socket, place);
    socket.once('close', () => place.leave());
  }

  /** Until it is authenticated, a request may have to give way. */
  readonly received: RequestHandler = (request, response, next) => {
    const place = this.#placeOf.get(request.socket);
    place?.begin(this.addressOf(request), () => request.socket.destroy());
    response.once('close', () => {
      if (place === undefined) return;
      if (place.answering > 0) place.answered(true);
      else place.discarded();
    });
    next();
  };

  readonly authenticated: RequestHandler = (request, _response, next) => {
    this.#placeOf.get(request.socket)?.complete();
    next();
  };

  guessed(request: Request): Promise<void> | undefined {
    return this.#wrongTokens.guessed(this.addressOf(request));
  }

  /** Of the sender, as far as proxies that are listed have forwarded it. */
  addressOf(request: Request): string {
    return addressKey(clientAddress(request.socket.remoteAddress ?? '', request.headers, this.#proxies));
  }

  close(): void {
    this.#places.close();
    this.#wrongTokens.close();
  }
}
