import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import dockerModule from '../../providers/docker/index.ts';
import { dockerOptions } from '../../providers/docker/options.ts';
import { containerBody } from '../../providers/docker/request.ts';
import { ask, engineProblem, testImage } from '../docker/engine.ts';
import { EngineProxy } from '../docker/engine-proxy.ts';
import { pageService, silentService } from './bad-services.ts';
import { describeConformance, SkipSuite } from './conformance.ts';
import { type Harness, type Lacks, type Misbehaving, type Program, programs, testHost } from './harness.ts';

const containers = z.array(z.object({ Names: z.array(z.string()) }));
const top = z.object({ Processes: z.array(z.array(z.string())) });

const lacks: Lacks = {
  'looks-up-images': 'the engine may not pull here; test/providers/docker/images.test.ts has one that may',
};

describeConformance('docker', lacks, async (): Promise<Harness> => {
  const problem = await engineProblem();
  if (problem !== undefined) throw new SkipSuite(problem);
  const image = await testImage();
  const place = await mkdtemp(join(tmpdir(), 'shr-conformance-'));
  const network = `shr-conformance-${process.pid}`;
  await ask('POST', '/networks/create', { Name: network, Driver: 'bridge', CheckDuplicate: true });
  const proxy = new EngineProxy(join(place, 'engine.sock'));
  await proxy.listen();
  const host = testHost();

  const options = (program: Program) =>
    dockerOptions.parse({
      socketPath: proxy.socketPath,
      network,
      pull: 'never',
      stopGraceS: 1,
      ...(program === 'is-missing' ? {} : { command: ['sh', '-c', programs[program]] }),
    });

  const processesOf = async (name: string): Promise<readonly number[]> => {
    // 404 and 409: it is gone, or does not run.
    const parsed = top.safeParse(await ask('GET', `/containers/${name}/top?ps_args=-eo%20pid`, undefined, [404, 409]));
    return parsed.success ? parsed.data.Processes.map(([pid]) => Number(pid)) : [];
  };

  let sockets = 0;
  const nextSocket = (): string => {
    sockets += 1;
    return join(place, `bad-${sockets}.sock`);
  };
  const before = (socketPath: string, end: () => Promise<void>): Misbehaving => ({
    provider: dockerModule.create(dockerOptions.parse({ socketPath, timeoutMs: 1000, pullTimeoutMs: 1000 }), host),
    end,
  });

  return {
    // The engine has no pages.
    pageSize: 5,
    patienceMs: 20_000,
    backend: async (program) => ({
      provider: dockerModule.create(options(program), host),
      image: program === 'is-missing' ? 'shr-test:no-such-tag' : image,
    }),
    unreachable: async () => dockerModule.create(dockerOptions.parse({ socketPath: join(place, 'nobody.sock') }), host),
    silent: async () => {
      const socket = nextSocket();
      const service = await silentService(socket);
      return before(socket, () => service.close());
    },
    intercepted: async (status) => {
      const socket = nextSocket();
      const service = await pageService({ kind: 'http' }, status, socket);
      return before(socket, () => service.close());
    },
    refuses: async (status, message) => {
      const socket = nextSocket();
      const engine = new EngineProxy(socket);
      engine.refuseAll(status, { message });
      await engine.listen();
      return before(socket, () => engine.close());
    },
    loseNextAnswer: async () => {
      proxy.failNext('POST', /^\/containers\/create/, {
        kind: 'lose-answer',
        // The time limit passes at once, but not before the container is there.
        onEffect: () => {
          host.hurry = true;
        },
      });
      return async () => {
        host.hurry = false;
      };
    },
    halfLaunch: async (program, request) => {
      await ask('POST', `/containers/create?name=${request.name}`, containerBody(request, options(program)));
    },
    foreign: async (name) => {
      await ask('POST', `/containers/create?name=${name}`, { Image: image, Labels: { owner: 'somebody else' } });
      return {
        isIntact: () =>
          ask('GET', `/containers/${name}/json`).then(
            () => true,
            () => false,
          ),
        remove: async () => {
          await ask('DELETE', `/containers/${name}?force=1`);
        },
      };
    },
    confuse: async () => {
      proxy.rewriteAnswers((_, body) =>
        body
          .replaceAll('"Status":"running"', '"Status":"dreaming"')
          .replaceAll('"State":"running"', '"State":"dreaming"'),
      );
      return async () => proxy.rewriteAnswers(undefined);
    },
    processesOf,
    publicTraces: async (name) => {
      const list = await ask('GET', '/containers/json?all=1');
      const commandLines = await ask('GET', `/containers/${name}/top?ps_args=-eo%20pid,args`);
      return JSON.stringify([list, commandLines, proxy.calls]);
    },
    remains: async (prefix) =>
      containers
        .parse(await ask('GET', '/containers/json?all=1'))
        .flatMap((container) => container.Names)
        .filter((name) => name.startsWith(`/${prefix}`)),
    close: async () => {
      await proxy.close();
      await ask('DELETE', `/networks/${network}`);
      await rm(place, { recursive: true });
    },
  };
});
