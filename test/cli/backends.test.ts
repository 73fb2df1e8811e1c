import { expect } from 'chai';
import { createCommand as backendsCommand } from '../../dispatcher/cli/backends.ts';
import { backends, type Fixture, openFixture } from '../http/admin-fixture.ts';
import { run } from './admin-run.ts';

describe('shr backends', () => {
  let fixture: Fixture;
  beforeEach(async () => {
    fixture = await openFixture();
  });
  afterEach(() => fixture.close());

  it('shows each with its state, and below it each image that is closed there: since when, until when, why', async () => {
    const { out, code } = await run(backendsCommand, ['--url', fixture.url]);
    expect(code).to.equal(0);
    const lines = out.trimEnd().split('\n');
    expect(lines).to.have.length(4);
    expect(lines[0]).to.match(/^BACKEND +KIND +STATE +FOR +UNTIL +LAUNCHING +RUNNERS +LAST SUCCESS +WHY$/);
    expect(lines[1]).to.match(/^acme\/main +docker +open +1\/8 +\d\/5 +2m00s ago\s*$/);
    expect(lines[2]).to.match(
      /^ +closed +9m00s +2026-03-04T12:14:00\.000Z +image runner:2, 2 cores: invalid, 4 times in a row: the image runner:2 is not accessible \(InaccessibleImage, request r-1\)$/,
    );
    expect(lines[3]).to.match(/^globex\/main +docker +probing +1m00s .* 0\/4 +\d\/5 +- +quota: too many containers$/);
  });

  it('says why there is none', async () => {
    const none = await openFixture({ backends: () => [] });
    try {
      expect((await run(backendsCommand, ['--url', none.url])).out).to.match(/^No backends: .* none is in force/);
    } finally {
      await none.close();
    }
  });

  it('opens one, or all of a registration, and says what was closed', async () => {
    const { out, code } = await run(backendsCommand, ['reset', 'acme/main', '--url', fixture.url]);
    expect(code).to.equal(0);
    expect(out).to.match(/^Open again on acme\/main:\n +image runner:2, 2 cores: invalid, .*not accessible/);
    await run(backendsCommand, ['reset', 'globex', '--url', fixture.url]);
    expect(fixture.resets).to.deep.equal(['acme/main', 'globex']);
  });

  it('carries no control character of a service to the terminal, whose words it repeats', async () => {
    const [closure] = backends[0]?.closures ?? [];
    if (closure === undefined) throw new Error('nothing is closed');
    const about = 'image \u001b[2Jrunner\u202e';
    const rude = await openFixture({ resetBackends: async () => [{ ...closure, about }] });
    try {
      const { out } = await run(backendsCommand, ['reset', 'acme', '--url', rude.url]);
      expect(out).to.not.match(/[^\P{C}\n]/u);
      expect(out).to.include('image \ufffd[2Jrunner\ufffd: invalid');
    } finally {
      await rude.close();
    }
  });

  it('says so of a backend that does not exist, and of a name that is not valid', async () => {
    const none = await run(backendsCommand, ['reset', 'acme/other', '--url', fixture.url]);
    expect([none.code, none.err]).to.satisfy(
      ([code, err]: [number, string]) => code === 1 && err.includes('acme/other'),
    );
    const wrong = await run(backendsCommand, ['reset', 'a/b/c', '--url', fixture.url]);
    expect(wrong.code).to.equal(2);
    expect(fixture.resets).to.deep.equal([]);
  });
});
