import { createServer, type ServerResponse } from 'node:http';
import { expect } from 'chai';
import { z } from 'zod';
import { AdminClient, AdminClientError } from '../../dispatcher/cli/admin-client.ts';
import { VirtualClock } from '../github/virtual-clock.ts';

describe('a question to the dispatcher', () => {
  for (const [what, begin] of [
    ['no answer', () => {}],
    ['an answer that stalls', (response: ServerResponse) => response.writeHead(200).write('{')],
  ] as const) {
    it(`ends after 35 s with ${what}, and with it its connection`, async () => {
      const clock = new VirtualClock();
      const asked = Promise.withResolvers<void>();
      const left = Promise.withResolvers<void>();
      const server = createServer((request, response) => {
        begin(response);
        request.socket.once('close', () => left.resolve());
        asked.resolve();
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      try {
        const address = server.address();
        const base = new URL(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`);
        const answer = new AdminClient(base, undefined, clock)
          .get(['jobs'], {}, z.unknown())
          .catch((error: unknown) => error);
        await asked.promise;
        await clock.advance(34_999);
        expect(clock.timers).to.equal(1);
        await clock.advance(1);
        const error = await answer;
        expect(error).to.be.instanceOf(AdminClientError);
        expect(error).to.have.property('message', `no answer from ${base.origin} within 35 s`);
        expect(clock.timers).to.equal(0);
        await left.promise;
      } finally {
        server.closeAllConnections();
        server.close();
      }
    });
  }
});
