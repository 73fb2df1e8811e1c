import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createSecureServer } from 'node:http2';
import { connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { makeCertificate } from '../../../simulators/azure-aci/certificate.ts';
import { Identity } from '../../../simulators/google/identity.ts';

const HOST = 'run.googleapis.com';
const EMAIL = 'dispatcher@demo-project.iam.gserviceaccount.com';

/** What a backend without the option `endpoint` does. In a process of its own: gRPC reads its roots when it is loaded. */
const program = `
  const { connect, callOptions } = await import(process.env.CONNECTION);
  const { v2 } = await import('@google-cloud/run');
  const { client } = connect(v2.JobsClient, { credentials: process.env.CREDENTIALS });
  const options = await callOptions(client.auth, undefined, 5000);
  const call = client.listJobs({ parent: 'projects/p/locations/r' }, { ...options, autoPaginate: false });
  await call.catch((error) => console.log(error.code, error.details));
  await client.close();
`;

describe("google: a connection to Google's own host", () => {
  it('is by TLS, and each call brings a token of the account', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'google-tls-'));
    const { certificate, privateKey } = makeCertificate(HOST);
    const roots = join(folder, 'roots.pem');
    await writeFile(roots, certificate);
    const identity = new Identity(() => Date.now());
    const seen: unknown[] = [];
    const google = createSecureServer({ cert: certificate, key: privateKey });
    google.on('stream', (stream, headers) => {
      seen.push([headers[':authority'], headers[':path'], identity.caller(headers.authorization).email]);
      const end = { 'content-type': 'application/grpc', 'grpc-status': '7', 'grpc-message': 'not today' };
      stream.respond({ ':status': 200, ...end }, { endStream: true });
    });
    // Stands between, so that the name is Google's and the machine is this one.
    const proxy = createServer();
    const googlePort = await portOf(google);
    proxy.on('connect', (_request, socket) => {
      const onward = connect(googlePort, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      onward.on('error', () => socket.destroy());
      socket.on('error', () => onward.destroy());
    });
    const proxyPort = await portOf(proxy);
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
        timeout: 15_000,
        env: {
          CONNECTION: import.meta.resolve('../../../providers/google/connection.ts'),
          CREDENTIALS: identity.createKey(EMAIL, 'demo-project'),
          GRPC_DEFAULT_SSL_ROOTS_FILE_PATH: roots,
          grpc_proxy: `http://127.0.0.1:${proxyPort}`,
        },
      });
      expect(stderr).to.equal('');
      expect(stdout).to.equal('7 not today\n');
      expect(seen).to.deep.equal([[`${HOST}:443`, '/google.cloud.run.v2.Jobs/ListJobs', EMAIL]]);
    } finally {
      google.close();
      proxy.close();
      await rm(folder, { recursive: true });
    }
  });
});

function portOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('no port'));
      else resolve(address.port);
    });
  });
}
