import { expect } from 'chai';
import { BudgetPool } from '../../dispatcher/github/budget-pool.ts';
import { appCaller, requestersFor } from '../../dispatcher/github/credential.ts';
import { findHooks, type HookPlace, isNotAllowed, readLog, redeliver } from '../../dispatcher/github/delivery-log.ts';
import { GithubTimes } from '../../dispatcher/github/github-time.ts';
import type { Caller } from '../../dispatcher/github/requester.ts';
import { type Credentials, Secret } from '../../dispatcher/model/registration.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { type Clock, systemClock } from '../../time/clock.ts';
import { type Receiver, startReceiver } from '../simulators/github/receiver.ts';
import { appCredentials, failureOf, TOKEN } from './github-fixture.ts';
import { type Script, type ScriptedGithub, scriptedGithub } from './scripted-github.ts';
import { readVendorSpec } from './vendor-spec.ts';
import { VirtualClock } from './virtual-clock.ts';

const SECRET = "It's a Secret to Everybody";
const app: HookPlace = { kind: 'app' };
const acme: HookPlace = { kind: 'organization', organization: 'acme' };
const web: HookPlace = { kind: 'repository', owner: 'acme', repository: 'web' };

function optionsFor(apiUrl: string, credentials: Credentials, clock: Clock = new VirtualClock(Date.now())) {
  return {
    host: 'github.com',
    apiUrl,
    claim: { kind: 'organization', organization: 'acme' },
    credentials,
    budgets: new BudgetPool(clock),
    times: new GithubTimes({ clock }),
    clock,
    random: () => 0.5,
  } as const;
}

function asApp(apiUrl: string, credentials: Credentials, clock?: Clock): Caller {
  const caller = appCaller(optionsFor(apiUrl, credentials, clock));
  if (caller === undefined) throw new Error('these credentials are no App');
  return caller;
}

describe("GitHub's log of deliveries", () => {
  describe('on the simulator', () => {
    let simulator: GithubSimulator;
    let receiver: Receiver;
    const workflow = { owner: 'acme', repository: 'web', yaml: 'jobs: { a: { runs-on: [a], steps: [{ run: x }] } }' };

    beforeEach(async () => {
      receiver = await startReceiver(SECRET);
      simulator = await startGithubSimulator({
        apps: [{ webhook: { url: `${receiver.url}/app`, secret: SECRET } }],
        tokens: [
          { login: 'root', owners: ['*'], access: 'admin' },
          { login: 'reader', owners: ['*'], access: 'read' },
        ],
      });
      simulator.addHook({ on: 'acme', url: `${receiver.url}/organization`, secret: SECRET });
      simulator.addHook({ on: 'acme/web', url: `${receiver.url}/repository`, secret: SECRET });
      await settled();
    });
    afterEach(async () => {
      await simulator.close();
      await receiver.close();
    });

    const settled = () => simulator.waitFor(() => simulator.pendingDeliveries === 0);
    const asItself = () => {
      const [one] = simulator.apps;
      if (one === undefined) throw new Error('the simulator has an App');
      return asApp(simulator.url, { kind: 'app', appId: String(one.id), privateKey: new Secret(one.privateKey) });
    };
    const asPerson = (token = simulator.tokens[0] ?? '') =>
      requestersFor(optionsFor(simulator.url, { kind: 'token', token: new Secret(token) }))('acme');

    for (const [name, place, caller] of [
      ['an App', app, asItself],
      ['an organization', acme, asPerson],
      ['a repository', web, asPerson],
    ] as const) {
      it(`of ${name} is read, and a failed delivery is sent again`, async () => {
        const [hook] = await findHooks(caller(), place);
        expect(hook?.url).to.equal(`${receiver.url}/${place.kind}`);
        receiver.answerWith(503);
        simulator.pushWorkflow(workflow);
        await settled();
        receiver.answerWith(202);
        const page = await readLog(caller(), { place, hook: hook?.id ?? null });
        const failed = page.deliveries.find(({ event }) => event === 'workflow_job');
        expect(failed).to.include({ statusCode: 503, action: 'queued', redelivery: false });
        expect(failed?.repositoryId).to.be.a('number');
        const delivery = failed?.id ?? '';
        expect(await redeliver(caller(), { place, hook: hook?.id ?? null, delivery })).to.equal('asked');
        await settled();
        const again = await readLog(caller(), { place, hook: hook?.id ?? null });
        expect(again.deliveries[0]).to.include({ guid: failed?.guid, redelivery: true, statusCode: 202 });
        expect(await redeliver(caller(), { place, hook: hook?.id ?? null, delivery: '7' })).to.equal('gone');
      });
    }

    it('is read page by page', async () => {
      simulator.faults.set({ webhooks: { lose: 1 } });
      for (let n = 0; n < 120; n += 1) simulator.pushWorkflow(workflow);
      await settled();
      const ids: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await readLog(asItself(), {
          ...{ place: app, hook: null },
          ...(cursor === undefined ? {} : { cursor }),
        });
        ids.push(...page.deliveries.map(({ id }) => id));
        cursor = page.next;
      } while (cursor !== undefined);
      expect([ids.length, new Set(ids).size]).to.deep.equal([120, 120]);
    });

    it('is closed to a token without the permission', async () => {
      const reader = asPerson(simulator.tokens[1]);
      for (const place of [acme, web]) {
        const error = await findHooks(reader, place).catch((reason: unknown) => reason);
        expect(isNotAllowed(error), place.kind).to.equal(true);
      }
    });
  });

  describe('on the wire', () => {
    let server: ScriptedGithub;
    afterEach(() => server.close());
    const start = async (script: Script): Promise<Caller> => {
      server = await scriptedGithub(script);
      // It tries again after a moment.
      return asApp(server.apiUrl, appCredentials(), systemClock);
    };
    const entry = (id: string, more = '') =>
      `{"id": ${id}, "guid": "g-${id}", "delivered_at": "2026-11-29T10:00:00Z", "redelivery": false, "duration": 0.1,
        "status": "OK", "status_code": 200, "event": "workflow_job", "action": "queued", "installation_id": 1,
        "repository_id": 2${more}}`;
    const json = { 'content-type': 'application/json' };

    it('has ids of 64 bits, which are sent back as they came', async () => {
      const long = '9007199254740993123';
      const caller = await start(({ method }) =>
        method === 'POST' ? { status: 202, body: {} } : { body: `[${entry(long)}, ${entry('42')}]`, headers: json },
      );
      const { deliveries } = await readLog(caller, { place: app, hook: null });
      expect(deliveries.map(({ id }) => id)).to.deep.equal([long, '42']);
      await redeliver(caller, { place: app, hook: null, delivery: long });
      expect(server.asked.at(-1)?.path).to.equal(`/app/hook/deliveries/${long}/attempts`);
    });

    it('is read although an entry in it is not as described', async () => {
      const caller = await start(() => ({
        body: `[${entry('1')}, {"id": "x"}, null, ${entry('3').replace('g-3', 'g\\u0000')}, ${entry('2')}]`,
        headers: json,
      }));
      const page = await readLog(caller, { place: app, hook: null });
      expect([page.deliveries.length, page.unreadable]).to.deep.equal([2, 3]);
    });

    it('costs nothing of the hour where nothing is new, and its next page stays known', async () => {
      const caller = await start(({ headers }) =>
        headers['if-none-match'] === '"e"'
          ? { status: 304, headers: { etag: '"e"' } }
          : {
              body: `[${entry('9007199254740993123')}]`,
              headers: {
                ...json,
                etag: '"e"',
                link: '<https://api.github.com/x?cursor=v1_7&per_page=100>; rel="next"',
              },
            },
      );
      const first = await readLog(caller, { place: app, hook: null });
      expect(first.next).to.equal('v1_7');
      expect(await readLog(caller, { place: app, hook: null })).to.deep.equal(first);
      expect(server.asked).to.have.length(2);
    });

    for (const [status, kept, outcome] of [
      [404, false, 'gone'],
      [410, false, 'gone'],
      [422, false, 'gone'],
      [422, true, 'refused'],
      [400, true, 'refused'],
    ] as const) {
      it(`that ${kept ? 'still has' : 'no longer has'} what is refused with ${status}: ${outcome}`, async () => {
        const caller = await start(({ method }) =>
          method === 'POST'
            ? { status, body: { message: 'no' } }
            : { status: kept ? 200 : 404, body: kept ? { id: 7 } : { message: 'Not Found' } },
        );
        expect(await redeliver(caller, { place: acme, hook: 1, delivery: '7' })).to.equal(outcome);
      });
    }

    it('that still has what it hides from the call that would send it again: not allowed', async () => {
      const caller = await start(({ method }) =>
        method === 'POST' ? { status: 404, body: { message: 'Not Found' } } : { body: { id: 7 } },
      );
      const error = await failureOf(redeliver(caller, { place: acme, hook: 1, delivery: '7' }), 'not-found');
      expect(isNotAllowed(error)).to.equal(true);
      expect(error.message).to.include('404');
    });

    it('is a page of a proxy where that answers', async () => {
      const caller = await start(() => ({
        body: '<html><title>Sign in</title></html>',
        headers: { 'content-type': 'text/html' },
      }));
      const error = await failureOf(readLog(caller, { place: app, hook: null }), 'transient');
      expect(error.message).to.include('HTML page ("Sign in")');
    });

    it("is asked for as GitHub's own description says", async function () {
      const spec = readVendorSpec();
      if (spec === undefined) this.skip();
      server = await scriptedGithub((asked) => spec.answer(asked));
      const options = optionsFor(server.apiUrl, { kind: 'token', token: new Secret(TOKEN) });
      const person = requestersFor(options)('acme');
      for (const [place, caller] of [
        [app, asApp(server.apiUrl, appCredentials())],
        [acme, person],
        [web, person],
      ] as const) {
        const [hook] = await findHooks(caller, place);
        expect(hook?.url, place.kind).to.be.a('string');
        const id = place.kind === 'app' ? null : 1;
        expect((await readLog(caller, { place, hook: id, cursor: 'v1_1' })).deliveries).to.have.length(1);
        expect(await redeliver(caller, { place, hook: id, delivery: '42' })).to.equal('asked');
      }
      for (const asked of server.asked)
        expect(spec.objections(asked), `${asked.method} ${asked.path}`).to.deep.equal([]);
      expect(server.asked).to.have.length(9);
    });
  });
});
