/** The answers of a Docker engine that `check` asks for, played on a socket: for what takes no container. */
import { once } from 'node:events';
import { createServer } from 'node:http';

export interface PlayedEngine {
  /** Images that it has, by reference: the architecture as Go calls it. */
  readonly images: Map<string, string>;
  /** What they run by themselves. */
  readonly commands: Map<string, readonly string[]>;
  readonly labels: Map<string, Readonly<Record<string, string>>>;
  /** Repositories that it was told to pull, and whether a login came along. No pull succeeds. */
  readonly pulls: { readonly from: string | null; readonly withLogin: boolean }[];
  close(): void;
}

export async function playEngine(socketPath: string): Promise<PlayedEngine> {
  const images = new Map<string, string>();
  const commands = new Map<string, readonly string[]>();
  const labels = new Map<string, Readonly<Record<string, string>>>();
  const pulls: PlayedEngine['pulls'] = [];
  const server = createServer(({ url = '', headers }, response) => {
    const image = /^\/images\/(.+)\/json$/.exec(url)?.[1] ?? '';
    if (url.startsWith('/version')) {
      response.end(JSON.stringify({ Version: '28.0.0', ApiVersion: '1.48', Arch: 'amd64', Os: 'linux' }));
    } else if (url.startsWith('/info')) {
      response.end(JSON.stringify({ NCPU: 2, MemTotal: 2 ** 33 }));
    } else if (url.startsWith('/auth')) {
      response.end('{"Status":"Login Succeeded"}');
    } else if (url.startsWith('/images/create')) {
      const from = new URL(url, 'http://engine').searchParams.get('fromImage');
      pulls.push({ from, withLogin: headers['x-registry-auth'] !== undefined });
      response.end('{"error":"not today"}\n');
    } else if (images.has(image)) {
      const Config = { Entrypoint: null, Cmd: commands.get(image) ?? null, Labels: labels.get(image) ?? null };
      response.end(JSON.stringify({ Id: 'sha256:1', Architecture: images.get(image), Os: 'linux', Config }));
    } else {
      response.writeHead(404, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ message: `No such image: ${image}` }));
    }
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    images,
    commands,
    labels,
    pulls,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
