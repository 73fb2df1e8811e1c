/** A real HTTP proxy on loopback, behind which services stand that have the names of the great ones. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request as requestPlain } from 'node:http';
import { createSecureServer, type ServerHttp2Stream } from 'node:http2';
import { createServer as createTlsServer, type RequestOptions, request as requestSecure } from 'node:https';
import { connect, type Server, type Socket } from 'node:net';
import { type Certificate, makeCertificate } from '../../simulators/azure-aci/certificate.ts';

export interface HttpProxy {
  /** `http://user:password@127.0.0.1:PORT`. */
  readonly url: string;
  readonly port: number;
  /** Where it was asked to connect to, and by whom. */
  readonly seen: { readonly to: string; readonly login: string | undefined }[];
  /** PEM of all authorities that its services stand on. */
  readonly authorities: string;
  /** A service of this name, by TLS, that passes on to another server of this machine. */
  front(host: string, target: string, ca?: string): Promise<void>;
  /** One that answers itself. */
  serve(host: string, answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<void>;
  /** One that speaks HTTP/2, as gRPC does. */
  serveStreams(host: string, answer: (stream: ServerHttp2Stream) => void): Promise<void>;
  close(): Promise<void>;
}

export const LOGIN = 'agent:p4ss-of-the-proxy';

export async function startProxy(): Promise<HttpProxy> {
  const seen: HttpProxy['seen'][number][] = [];
  const ports = new Map<string, number>();
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  let authorities = '';

  const listen = (server: Server): Promise<number> =>
    new Promise((resolve, reject) => {
      servers.push(server);
      server.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.on('close', () => sockets.delete(socket));
      });
      server.listen(0, '127.0.0.1', () => {
        const address = server.address();
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  const certify = (host: string): { readonly cert: string; readonly key: string } => {
    const { certificate, privateKey }: Certificate = makeCertificate(host);
    authorities += certificate;
    return { cert: certificate, key: privateKey };
  };

  const proxy = createServer((_request, response) => {
    response.writeHead(400);
    response.end();
  });
  proxy.on('connect', (request, socket) => {
    const login = request.headers['proxy-authorization']?.replace(/^Basic /i, '');
    seen.push({ to: request.url ?? '', login: login && Buffer.from(login, 'base64').toString() });
    socket.on('error', () => socket.destroy());
    const port = ports.get(request.url ?? '');
    if (port === undefined) {
      socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
      return;
    }
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  });
  const port = await listen(proxy);

  return {
    url: `http://${LOGIN}@127.0.0.1:${port}`,
    port,
    seen,
    get authorities() {
      return authorities;
    },
    async serve(host, answer) {
      ports.set(`${host}:443`, await listen(createTlsServer(certify(host), answer)));
    },
    async front(host, target, ca) {
      const to = new URL(target);
      const server = createTlsServer(certify(host), (request, response) => {
        const options: RequestOptions = {
          method: request.method ?? 'GET',
          path: request.url ?? '/',
          headers: request.headers,
          // Not the name in the Host header, by which Node would check it.
          ...(ca === undefined ? {} : { ca, servername: 'localhost' }),
        };
        const passOn = to.protocol === 'https:' ? requestSecure : requestPlain;
        const onward = passOn(to.origin, options, (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('end', () => {
            // It names itself by the name that it is called by here.
            const text = Buffer.concat(chunks).toString().replaceAll(to.origin, `https://${host}`);
            const { 'content-length': _, 'transfer-encoding': __, ...headers } = answer.headers;
            response.writeHead(answer.statusCode ?? 502, headers);
            response.end(text);
          });
        });
        onward.on('error', () => response.destroy());
        request.pipe(onward);
      });
      ports.set(`${host}:443`, await listen(server));
    },
    async serveStreams(host, answer) {
      const server = createSecureServer(certify(host));
      server.on('stream', answer);
      ports.set(`${host}:443`, await listen(server));
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}
