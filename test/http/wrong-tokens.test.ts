import { request } from 'node:http';
import { connect } from 'node:net';
import { expect } from 'chai';
import { systemClock } from '../../time/clock.ts';
import { type Fixture, openFixture } from './admin-fixture.ts';

// W12
describe('wrong admin tokens', () => {
  let fixture: Fixture;
  let close: (() => Promise<void>) | undefined;
  /** What the listener waits for, in ms; a test lets it pass. */
  const waits: { readonly ms: number; readonly pass: () => void }[] = [];

  beforeEach(async () => {
    waits.length = 0;
    fixture = await openFixture({
      clock: {
        now: Date.now,
        after(ms, action) {
          // Answers of 30 s, ends of episodes: the real clock's.
          if (ms > 5_000) return systemClock.after(ms, action);
          waits.push({ ms, pass: action });
          return () => {};
        },
      },
    });
    close = () => fixture.close();
  });
  afterEach(async () => {
    for (const { pass } of waits.splice(0)) pass();
    await close?.();
  });

  const guess = (token: string) =>
    new Promise<{ readonly status: number; readonly retryAfter: string | undefined }>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, connection: 'close' };
      request(`${fixture.url}/api/lanes`, { headers }, (response) => {
        response.resume();
        const retryAfter = response.headers['retry-after'];
        response.on('end', () => resolve({ status: response.statusCode ?? 0, retryAfter }));
      })
        .on('error', reject)
        .end();
    });
  const turn = () => new Promise((resolve) => setImmediate(resolve));

  it('are slowed from the sixth on, few at a time, and the right one is let in meanwhile', async () => {
    for (let index = 0; index < 5; index += 1) expect((await guess(`wrong-${index}`)).status).to.equal(401);
    expect(waits).to.deep.equal([]);
    const slowed = Array.from({ length: 8 }, (_, index) => guess(`wrong again ${index}`.replaceAll(' ', '-')));
    while (waits.length < 8) await turn();
    expect(waits.map(({ ms }) => ms)).to.deep.equal([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
    expect(await guess('one-too-many')).to.deep.equal({ status: 429, retryAfter: '5' });
    expect((await fixture.ask('/api/lanes')).status).to.equal(200);
    for (const { pass } of waits) pass();
    expect((await Promise.all(slowed)).map(({ status }) => status)).to.deep.equal(Array.from({ length: 8 }, () => 401));
    // Those that waited have gone: the next one waits again.
    waits.length = 0;
    const next = guess('wrong-at-last');
    while (waits.length < 1) await turn();
    expect(waits[0]?.ms).to.equal(5_000);
    waits[0]?.pass();
    expect((await next).status).to.equal(401);
  });

  it('are one state in the log, with their number and address, and never with the token', async () => {
    const guesses = Array.from({ length: 300 }, (_, index) => guess(`s3cr3t-guess-${index}`));
    let answered = 0;
    for (const one of guesses) void one.then(() => (answered += 1));
    while (answered < 300) {
      for (const { pass } of waits.splice(0)) pass();
      await turn();
    }
    await close?.();
    close = undefined;
    const lines = fixture.logged.filter((line) => line.includes('admin.wrong-token')).map((line) => JSON.parse(line));
    expect(lines.map(({ state }) => state)).to.deep.equal(['begins', 'ends']);
    expect(lines[0]).to.include({ level: 'warn', from: '127.0.0.1' });
    expect(lines[1]).to.include({ count: 300, mostFrom: '127.0.0.1' });
    expect(fixture.logged.join('')).not.to.include('s3cr3t');
  });

  it('that wait for their answers leave the listener open, and so do connections that say nothing', async () => {
    const silent = Array.from({ length: 300 }, () => connect(Number(new URL(fixture.url).port), '127.0.0.1'));
    await Promise.all(
      silent.map((socket) => new Promise((resolve) => socket.on('connect', resolve).on('error', resolve).resume())),
    );
    expect((await fixture.ask('/api/lanes')).status).to.equal(200);
    expect((await fixture.ask('/healthz')).status).to.equal(200);
    for (const socket of silent) socket.destroy();
  });
});
