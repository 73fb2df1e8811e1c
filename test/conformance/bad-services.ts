/** What may stand where a service should: something that takes connections and is silent, or that answers with a page of its own. */
import { createServer as createHttpServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';

export interface BadService {
  /** Of the loopback; 0 on a socket file. */
  readonly port: number;
  close(): Promise<void>;
}

/** `place`: a socket file; absent: a port of the loopback. */
export async function silentService(place?: string): Promise<BadService> {
  return await opened(createServer(), place);
}

export type Protocol =
  | { readonly kind: 'http' }
  | { readonly kind: 'https'; readonly certificate: string; readonly privateKey: string }
  /** HTTP/2 without TLS, as gRPC speaks it on the loopback. */
  | { readonly kind: 'http2' };

/** Answers each request with this status and a page, as a proxy, a firewall or a captive portal does. */
export async function pageService(protocol: Protocol, status: number, place?: string): Promise<BadService> {
  const page = `<html><head><title>${status}</title></head><body>nginx</body></html>`;
  const headers = { 'content-type': 'text/html', 'content-length': String(page.length) };
  switch (protocol.kind) {
    case 'http':
      return await opened(
        createHttpServer((request, response) => {
          request.resume();
          response.writeHead(status, headers).end(page);
        }),
        place,
      );
    case 'https':
      return await opened(
        createHttpsServer({ cert: protocol.certificate, key: protocol.privateKey }, (request, response) => {
          request.resume();
          response.writeHead(status, headers).end(page);
        }),
        place,
      );
    case 'http2': {
      const server = createHttp2Server();
      server.on('stream', (stream) => {
        stream.resume();
        stream.respond({ ':status': status, 'content-type': 'text/html' });
        stream.end(page);
      });
      return await opened(server, place);
    }
  }
}

function opened(server: Server, place: string | undefined): Promise<BadService> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)));
  });
  return new Promise((resolve, reject) => {
    const ready = (): void => {
      const address = server.address();
      resolve({
        port: typeof address === 'object' && address !== null ? address.port : 0,
        close: () =>
          new Promise((done) => {
            server.close(() => done());
            for (const socket of sockets) socket.destroy();
          }),
      });
    };
    server.once('error', reject);
    if (place === undefined) server.listen(0, '127.0.0.1', ready);
    else server.listen(place, ready);
  });
}
