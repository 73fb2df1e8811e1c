import { expect } from 'chai';
import { stringify } from 'yaml';
import { appWebhooks, setAppWebhook } from '../../dispatcher/cli/deploy/app-webhook.ts';
import type { Configuration } from '../../dispatcher/model/registration.ts';
import { type GithubSimulator, startGithubSimulator } from '../../simulators/github/index.ts';
import { systemClock, systemRandom } from '../../time/clock.ts';
import { configured, dispatcherYaml } from '../config/files.ts';
import { scriptedGithub } from '../github/scripted-github.ts';
import { readVendorSpec } from '../github/vendor-spec.ts';
import { asApp, contract } from '../simulators/github/client.ts';

const URL = 'https://shr.acme.example';
const SECRET = 'a-webhook-secret-of-acme';

describe('the webhook of an App, after a deployment', () => {
  let github: GithubSimulator;
  afterEach(() => github.close());

  async function start(webhook?: { readonly url: string; readonly events?: readonly string[] }): Promise<void> {
    github = await startGithubSimulator({
      owners: [{ login: 'acme', repositories: [{ name: 'web' }] }],
      apps: [{ name: 'one', ...(webhook === undefined ? {} : { webhook }), installations: [{ account: 'acme' }] }],
    });
  }

  function configuration(registrations: Readonly<Record<string, object>> = { acme: {} }, dispatcher: object = {}) {
    const [app] = github.apps;
    const base = {
      organization: 'acme',
      apiUrl: github.url,
      credentials: { app: { id: app?.id, privateKey: '${file:app.pem}' } },
      webhook: { secrets: ['${file:secret}'] },
      labels: ['one'],
      defaults: { image: 'runner:1' },
      backends: [{ kind: 'docker' }],
    };
    return configured({
      'dispatcher.yaml': `${dispatcherYaml}${Object.keys(dispatcher).length === 0 ? '' : stringify(dispatcher)}`,
      'app.pem': app?.privateKey ?? '',
      secret: SECRET,
      ...Object.fromEntries(
        Object.entries(registrations).map(([name, more]) => {
          return [`registrations/${name}.yaml`, stringify({ ...base, ...more })];
        }),
      ),
    });
  }

  async function set(of: Configuration, replace = false) {
    const [webhook] = appWebhooks(of, URL);
    if (webhook === undefined) throw new Error('there is none to set');
    return setAppWebhook(webhook, { clock: systemClock, random: systemRandom, replace });
  }
  const config = async () => (await asApp(github).apps.getWebhookConfigForApp()).data;

  it('is set where it had no address, and again when it is deployed again', async () => {
    await start({ url: '' });
    const of = await configuration();
    expect(await set(of)).to.deep.equal({ kind: 'set', isNew: true, subscribes: true });
    expect(await config()).to.deep.equal({
      ...{ url: `${URL}/webhooks/github/acme`, content_type: 'json', insecure_ssl: '0', secret: '********' },
    });
    expect(await set(of)).to.deep.equal({ kind: 'set', isNew: false, subscribes: true });
  });

  it('stays as it is where it delivers to another dispatcher, unless that is wanted', async () => {
    await start({ url: 'https://other.example/hook?key=1', events: ['push'] });
    const of = await configuration();
    expect(await set(of)).to.deep.equal({ kind: 'elsewhere', url: 'https://other.example/hook?key=1' });
    expect((await config()).url).to.equal('https://other.example/hook?key=1');
    expect(await set(of, true)).to.deep.equal({ kind: 'set', isNew: false, subscribes: false });
    expect((await config()).url).to.equal(`${URL}/webhooks/github/acme`);
  });

  it('says why it was not set', async () => {
    await start();
    const [webhook] = appWebhooks(await configuration(), URL);
    if (webhook === undefined) throw new Error('there is none to set');
    const wrong = { ...webhook, credentials: { ...webhook.credentials, appId: '999' } };
    const outcome = await setAppWebhook(wrong, { clock: systemClock, random: systemRandom, replace: false });
    expect(outcome).to.have.property('kind', 'failed');
    expect(JSON.stringify(outcome)).to.not.include(SECRET);
  });

  it('is not one of two endpoints: an App delivers to one address', async () => {
    await start();
    expect(appWebhooks(await configuration({ acme: {}, labs: { labels: ['two'] } }), URL)).to.deep.equal([]);
    const [app] = github.apps;
    const shared = { webhooks: [{ appId: app?.id, secrets: ['${file:secret}'], owners: ['*'] }] };
    const found = appWebhooks(await configuration({ acme: { webhook: undefined } }, shared), URL);
    expect(found.map(({ registration, url }) => [registration, url])).to.deep.equal([
      [undefined, `${URL}/webhooks/github`],
    ]);
    expect(appWebhooks(await configuration({ acme: {} }, shared), URL)).to.deep.equal([]);
    expect(appWebhooks(await configuration({ acme: { credentials: { token: '${file:secret}' } } }), URL)).to.deep.equal(
      [],
    );
  });

  it('is asked for as GitHub describes', async function () {
    await start();
    const spec = readVendorSpec();
    if (spec === undefined || contract === undefined) return this.skip();
    const server = await scriptedGithub((asked) => spec.answer(asked));
    try {
      const [webhook] = appWebhooks(await configuration(), URL);
      if (webhook === undefined) throw new Error('there is none to set');
      const ways = { clock: systemClock, random: systemRandom, replace: true };
      await setAppWebhook({ ...webhook, apiUrl: server.apiUrl }, ways);
      expect(server.asked.map(({ method, path }) => `${method} ${path}`)).to.include.members(['GET /app']);
      for (const asked of server.asked) expect(spec.objections(asked), asked.path).to.deep.equal([]);
      const changes = server.asked.filter(({ method }) => method === 'PATCH');
      expect(changes.map(({ path, body }) => [path, JSON.parse(body)])).to.deep.equal([
        ['/app/hook/config', { url: `${URL}/webhooks/github/acme`, content_type: 'json', secret: SECRET }],
      ]);
    } finally {
      await server.close();
    }
  });
});
