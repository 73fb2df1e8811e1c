/** The Docker engine of this machine, for tests: found or skipped, and asked directly, without the provider. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { request } from 'node:http';
import { promisify } from 'node:util';

export const ENGINE_SOCKET = process.env['DOCKER_SOCKET'] ?? '/var/run/docker.sock';

/** Why there is no engine to test with, or no image; undefined where there are. With REQUIRE_DOCKER=1 that is an error. */
export async function engineProblem(): Promise<string | undefined> {
  const problem = await probe();
  if (problem !== undefined && process.env['REQUIRE_DOCKER'] === '1') {
    throw new Error(`REQUIRE_DOCKER=1, but ${problem}`);
  }
  return problem;
}

async function probe(): Promise<string | undefined> {
  if (!existsSync(ENGINE_SOCKET)) return `no Docker engine listens on ${ENGINE_SOCKET}`;
  try {
    await ask('GET', '/_ping');
  } catch (error) {
    return `no Docker engine answers on ${ENGINE_SOCKET}: ${error instanceof Error ? error.message : String(error)}`;
  }
  try {
    await testImage();
    return undefined;
  } catch (error) {
    return `there is no test image: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Builds the test image where it is missing, and gives its name. */
export async function testImage(): Promise<string> {
  const script = new URL('../../demo/image.sh', import.meta.url).pathname;
  const { stdout } = await promisify(execFile)(script, {
    env: { ...process.env, DOCKER_HOST: `unix://${ENGINE_SOCKET}` },
  });
  return stdout.trim();
}

/** One call of the engine's API. Rejects for every status from 400, unless it is in `accept`. */
export function ask(method: string, path: string, body?: unknown, accept: readonly number[] = []): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const call = request(
      {
        socketPath: ENGINE_SOCKET,
        method,
        path,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
        timeout: 30_000,
      },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', reject);
        answer.on('end', () => {
          const said = Buffer.concat(chunks).toString();
          const status = answer.statusCode ?? 0;
          if (status >= 400 && !accept.includes(status)) {
            reject(new Error(`${method} ${path}: ${status} ${said}`));
            return;
          }
          try {
            resolve(JSON.parse(said));
          } catch {
            resolve(said);
          }
        });
      },
    );
    call.on('timeout', () => call.destroy(new Error('no answer')));
    call.on('error', reject);
    call.end(text);
  });
}
