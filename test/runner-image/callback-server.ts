/** The dispatcher's side of the call-backs, as far as the image's scripts need one to talk to. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SeenCall {
  readonly event: string;
  readonly authorization: string | undefined;
  readonly fields: Readonly<Record<string, string>>;
}

export interface CallbackServer {
  readonly url: string;
  readonly calls: SeenCall[];
  /** False: it answers as another website or a proxy would. */
  isDispatcher: boolean;
  /** Undefined: the connection is cut without an answer. `hang`: there is none. */
  answer: (event: string) => { readonly status: number; readonly text?: string } | 'hang' | undefined;
  close(): Promise<void>;
}

export async function startCallbacks(): Promise<CallbackServer> {
  const calls: SeenCall[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const event = request.url?.split('/').at(-1) ?? '';
      const fields = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
      calls.push({ event, authorization: request.headers.authorization, fields });
      const answer = self.answer(event);
      if (answer === 'hang') return;
      if (answer === undefined) request.socket.destroy();
      else {
        const mark = self.isDispatcher ? { 'SHR-Dispatcher': '1' } : {};
        response.writeHead(answer.status, { 'content-type': 'text/plain', ...mark }).end(answer.text);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const self: CallbackServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/runners/shr-1`,
    calls,
    isDispatcher: true,
    answer: () => ({ status: 204 }),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return self;
}
