import { expect } from 'chai';
import { z } from 'zod';
import { registrationListSchema } from '../../dispatcher/http/admin-shapes.ts';
import { shr } from '../cli/process.ts';
import { type Says, type ScriptedGithub, scriptedGithub } from '../github/scripted-github.ts';
import { ADMIN_TOKEN, eventually, type Service, startService } from './service-fixture.ts';

/** What this machine's clock is ahead of the scripted GitHub's. */
const AHEAD_MS = 180_000;

/** Cases 08 and 09 through the whole service: a renamed organization, and a clock that is three minutes ahead. */
describe('what is wrong with a registration', function () {
  this.timeout(120_000);
  let github: ScriptedGithub;
  let service: Service;
  let refused = 0;

  before(async () => {
    const dated = (says: Says): Says => ({
      ...says,
      headers: { date: new Date(Date.now() - AHEAD_MS).toUTCString(), ...says.headers },
    });
    github = await scriptedGithub(({ path, headers }) => {
      const token = String(headers.authorization ?? '');
      if (token.startsWith('Bearer ')) {
        const { iat } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
        if (iat > (Date.now() - AHEAD_MS) / 1000) {
          refused += 1;
          return dated({ status: 401, body: { message: "'Issued at' claim ('iat') must be an Integer" } });
        }
      }
      if (path.endsWith('/installation')) return dated({ body: { id: 1 } });
      if (path.endsWith('/access_tokens')) {
        const expires_at = new Date(Date.now() - AHEAD_MS + 3_600_000).toISOString();
        return dated({ status: 201, body: { token: 'ghs_x', expires_at } });
      }
      if (path === '/installation/repositories') {
        const one = { name: 'web', owner: { login: 'acme-inc' }, private: true };
        return dated({ body: { total_count: 1, repositories: [one] } });
      }
      return dated({ status: 404, body: { message: 'Not Found' } });
    });
    service = await startService({ registration: { apiUrl: github.apiUrl, poll: { interval: '1s' } } });
  });
  after(async () => {
    await service.close();
    await github.close();
  });

  const read = async (path: string): Promise<string> => {
    const response = await fetch(`${service.adminUrl}${path}`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    expect(response.status).to.equal(200);
    return await response.text();
  };

  it('is shown by the API, the readiness, the metrics, the command and the log, by name', async () => {
    const problems = await eventually('three problems', 60_000, async () => {
      const { registrations } = registrationListSchema.parse(JSON.parse(await read('/api/registrations')));
      const found = registrations[0]?.problems ?? [];
      return found.length >= 3 ? found : undefined;
    });
    expect(problems.map(({ kind, about }) => `${kind} ${about}`)).to.deep.equal([
      'poll acme',
      'sweep orgs/acme',
      `clock ${new URL(github.apiUrl).host}`,
    ]);
    expect(problems[0]?.message).to.include('none of owner acme (acme-inc): was it renamed?');
    expect(problems[2]?.message).to.match(/^this machine's clock is 1(79|80|81) s ahead of GitHub's$/);

    const ready = z
      .object({ ready: z.boolean(), problems: z.array(z.string()) })
      .parse(JSON.parse(await read('/readyz')));
    expect(ready.ready).to.equal(true);
    expect(ready.problems.join('\n')).to.include('e2e: poll: acme: ').and.include('e2e: sweep: orgs/acme: ');

    const metrics = await read('/metrics');
    expect(metrics).to.match(/^shr_registration_problems\{registration="e2e",kind="poll"\} 1$/m);
    expect(metrics).to.match(/^shr_github_clock_ahead_seconds\{api=".*"\} 1(79|80|81)/m);

    const environment = { PATH: process.env['PATH'] ?? '', SHR_ADMIN_TOKEN: ADMIN_TOKEN };
    const shown = await shr(['registrations', 'show', 'e2e', '--url', service.adminUrl], service.folder, environment);
    expect(shown.code).to.equal(0);
    expect(shown.out).to.include('was it renamed? Change `organization`').and.include("ahead of GitHub's");

    // Some passes later each was still said once, and GitHub had to refuse one token.
    const ends = new Set<string | null>();
    await eventually('three passes', 30_000, async () => {
      const { registrations } = registrationListSchema.parse(JSON.parse(await read('/api/registrations')));
      ends.add(registrations[0]?.poll.lastAt ?? null);
      return ends.size > 3 ? true : undefined;
    });
    const events = service.output().split('\n');
    for (const event of ['github.clock', 'poll.trouble', 'sweep-failed']) {
      expect(
        events.filter((line) => line.includes(`"event":"${event}"`)),
        event,
      ).to.have.length(1);
    }
    expect(refused).to.equal(1);
  });
});
