/** Git's own server (`git http-backend`) over TLS: repositories in a folder, read with a token. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:https';
import { makeCertificate } from '../../simulators/azure-aci/certificate.ts';

export interface GitServer {
  readonly url: string;
  /** PEM: of the authority to trust. */
  readonly certificate: string;
  /** Paths that were asked for, with how it was answered. */
  readonly requests: readonly string[];
  isAway: boolean;
  close(): Promise<void>;
}

export async function startGitServer(root: string, token: string): Promise<GitServer> {
  const { certificate, privateKey } = makeCertificate();
  const requests: string[] = [];
  const state = { isAway: false };
  const server = createServer({ cert: certificate, key: privateKey }, (request, response) => {
    const url = new URL(request.url ?? '/', 'https://127.0.0.1');
    const expected = `Basic ${Buffer.from(`x-access-token:${token}`).toString('base64')}`;
    if (state.isAway) {
      response.writeHead(503).end('away');
      return;
    }
    if (request.headers.authorization !== expected) {
      requests.push(`401 ${url.pathname}`);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return;
    }
    requests.push(`200 ${url.pathname}`);
    const {
      'content-type': type = '',
      'content-encoding': encoding = '',
      'git-protocol': protocol = '',
    } = request.headers;
    const child = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env['PATH'] ?? '',
        GIT_PROJECT_ROOT: root,
        GIT_HTTP_EXPORT_ALL: '1',
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        REQUEST_METHOD: request.method ?? '',
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        CONTENT_TYPE: type,
        HTTP_CONTENT_ENCODING: encoding,
        GIT_PROTOCOL: String(protocol),
        REMOTE_USER: 'reader',
        REMOTE_ADDR: '127.0.0.1',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    request.pipe(child.stdin);
    child.stdin.on('error', () => {});
    let head = Buffer.alloc(0);
    let begun = false;
    child.stdout.on('data', (chunk: Buffer) => {
      if (begun) {
        response.write(chunk);
        return;
      }
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) return;
      begun = true;
      const lines = head.subarray(0, end).toString('latin1').split('\r\n');
      const pairs = lines.map((line): [string, string] => [
        line.slice(0, line.indexOf(':')),
        line.slice(line.indexOf(':') + 1).trim(),
      ]);
      const status = pairs.find(([name]) => name.toLowerCase() === 'status')?.[1] ?? '200';
      response.writeHead(
        Number.parseInt(status, 10),
        Object.fromEntries(pairs.filter(([name]) => name.toLowerCase() !== 'status')),
      );
      response.write(head.subarray(end + 4));
    });
    child.stdout.on('end', () => void response.end());
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('it does not listen');
  return Object.assign(state, {
    url: `https://127.0.0.1:${address.port}`,
    certificate,
    requests,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  });
}
