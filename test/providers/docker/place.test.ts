// J17
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { dockerOptions } from '../../../providers/docker/options.ts';
import { addressWords, type DockerEnvironment, engineOf } from '../../../providers/docker/place.ts';

const PEM = '-----BEGIN CERTIFICATE-----\n';

function place(
  variables: DockerEnvironment['variables'],
  files: Readonly<Record<string, string>> = {},
  options: object = {},
) {
  const environment = { variables, home: '/home/me', read: (path: string) => files[path] };
  const found = engineOf(dockerOptions.parse(options), environment);
  return found.found ? found.words : `${found.problem}; ${found.cure}`;
}

function contextFiles(name: string, host: string, more: Readonly<Record<string, string>> = {}) {
  const id = createHash('sha256').update(name).digest('hex');
  return {
    [`/home/me/.docker/contexts/meta/${id}/meta.json`]: JSON.stringify({
      Name: name,
      Endpoints: { docker: { Host: host } },
    }),
    ...Object.fromEntries(
      Object.entries(more).map(([file, text]) => [`/home/me/.docker/contexts/tls/${id}/docker/${file}`, text]),
    ),
  };
}

describe('where the docker engine is', () => {
  const table: readonly (readonly [string, string, string])[] = [
    ['nothing said', place({}), 'unix:///var/run/docker.sock (the usual socket)'],
    [
      'a socket in DOCKER_HOST',
      place({ DOCKER_HOST: 'unix:///run/user/7/docker.sock' }),
      'unix:///run/user/7/docker.sock (DOCKER_HOST)',
    ],
    ['a host in DOCKER_HOST', place({ DOCKER_HOST: 'tcp://10.0.0.5:4243' }), 'tcp://10.0.0.5:4243 (DOCKER_HOST)'],
    ['a host without a port', place({ DOCKER_HOST: 'tcp://build' }), 'tcp://build:2375 (DOCKER_HOST)'],
    ['an address of IPv6', place({ DOCKER_HOST: 'tcp://[::1]:2375' }), 'tcp://[::1]:2375 (DOCKER_HOST)'],
    [
      'TLS',
      place(
        { DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/certs' },
        { '/certs/ca.pem': PEM },
      ),
      'https://build:2376 (DOCKER_HOST)',
    ],
    [
      'the option socketPath before all',
      place({ DOCKER_HOST: 'tcp://build' }, {}, { socketPath: '/run/own.sock' }),
      'unix:///run/own.sock (the option socketPath)',
    ],
    [
      'the option host before all',
      place({ DOCKER_HOST: 'tcp://build' }, {}, { host: 'other', port: 2375 }),
      'tcp://other:2375 (the option host)',
    ],
    [
      'the context in use',
      place(
        {},
        { '/home/me/.docker/config.json': '{"currentContext":"colima"}', ...contextFiles('colima', 'unix:///c.sock') },
      ),
      'unix:///c.sock (docker context colima)',
    ],
    [
      'DOCKER_CONTEXT before the context in use',
      place(
        { DOCKER_CONTEXT: 'two' },
        { '/home/me/.docker/config.json': '{"currentContext":"one"}', ...contextFiles('two', 'unix:///2.sock') },
      ),
      'unix:///2.sock (docker context two)',
    ],
    [
      'DOCKER_HOST before any context',
      place({ DOCKER_HOST: 'unix:///h.sock', DOCKER_CONTEXT: 'two' }, contextFiles('two', 'unix:///2.sock')),
      'unix:///h.sock (DOCKER_HOST)',
    ],
    ['the context default', place({ DOCKER_CONTEXT: 'default' }), 'unix:///var/run/docker.sock (the usual socket)'],
    [
      'a context with certificates',
      place(
        { DOCKER_CONTEXT: 'far' },
        contextFiles('far', 'tcp://far:2376', { 'ca.pem': PEM, 'cert.pem': PEM, 'key.pem': PEM }),
      ),
      'https://far:2376 (docker context far)',
    ],
    [
      'another folder for the configuration',
      place({ DOCKER_CONFIG: '/etc/d' }, { '/etc/d/config.json': '{"currentContext":""}' }),
      'unix:///var/run/docker.sock (the usual socket)',
    ],
  ];
  for (const [what, found, expected] of table) it(`follows ${what}`, () => expect(found).to.equal(expected));

  it('takes the certificates of the context, and of DOCKER_CERT_PATH', () => {
    const files = {
      '/home/me/.docker/ca.pem': 'CA',
      '/home/me/.docker/cert.pem': 'CERT',
      '/home/me/.docker/key.pem': 'KEY',
    };
    const variables = { DOCKER_HOST: 'tcp://build', DOCKER_TLS_VERIFY: '1' };
    const found = engineOf(dockerOptions.parse({}), {
      variables,
      home: '/home/me',
      read: (path) => new Map(Object.entries(files)).get(path),
    });
    expect(found.found && found.address).to.deep.include({ protocol: 'https', ca: 'CA', cert: 'CERT', key: 'KEY' });
  });

  it('says what it cannot follow, and what to do', () => {
    expect(place({ DOCKER_HOST: 'ssh://me@build' })).to.match(/ssh:.*sockets and TCP; forward .*me@build/);
    expect(place({ DOCKER_CONTEXT: 'gone' })).to.match(/"gone" cannot be read; list the contexts/);
    expect(place({ DOCKER_HOST: 'tcp://' })).to.match(/not an address/);
    expect(addressWords({ socketPath: '/x' })).to.equal('unix:///x');
  });
});
