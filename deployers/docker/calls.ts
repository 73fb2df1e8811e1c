/** The calls to the engine that a deployment needs beyond those for runners. */
import { z } from 'zod';
import { EngineConnection } from '../../providers/docker/connection.ts';
import { isAbsent } from '../../providers/docker/errors.ts';
import { FrameReader } from '../../providers/docker/frames.ts';
import type { EnginePlace } from '../../providers/docker/place.ts';
import { Deadlines } from '../../providers/kit/deadlines.ts';
import { Tail } from '../../providers/kit/tail.ts';
import { ProviderError, type ProviderHost } from '../../providers/provider.ts';
import { DEPLOYMENT_TAG } from '../tags.ts';

const created = z.object({ Id: z.string().min(1) });
const labels = z.record(z.string(), z.string()).nullish();

const container = z.object({
  Id: z.string().min(1),
  Name: z.string().transform((name) => name.replace(/^\//, '')),
  Image: z.string(),
  HostConfig: z.object({ NetworkMode: z.string().default('default') }),
  Config: z.object({ Image: z.string(), Labels: labels }),
  State: z.object({
    Status: z.string(),
    ExitCode: z.number().default(0),
    Error: z.string().default(''),
    Health: z
      .object({ Status: z.string(), Log: z.array(z.object({ Output: z.string().default('') })).nullish() })
      .nullish(),
  }),
});
/** As `GET /containers/ID/json` describes it. */
export type DispatcherContainer = z.infer<typeof container>;

const listedContainers = z.array(z.object({ Id: z.string().min(1) }));
const listedVolumes = z.object({ Volumes: z.array(z.object({ Name: z.string(), Labels: labels })).nullish() });
const imageAnswer = z.object({ Id: z.string().min(1) });
const ended = z.object({ ExitCode: z.number().nullable() });

export class DeploymentEngine {
  readonly #connection: EngineConnection;
  readonly #timeoutMs: number;

  constructor(place: EnginePlace, timeoutMs: number, host: ProviderHost) {
    this.#timeoutMs = timeoutMs;
    this.#connection = new EngineConnection(place, timeoutMs, new Deadlines(host));
  }

  /** What the engine's containers run under that reference now; undefined if it has no such image. */
  async imageId(reference: string): Promise<string | undefined> {
    try {
      const answer = await this.#connection.call('image', { path: `/images/${reference}/json` });
      return this.#connection.parse('image', imageAnswer, answer).Id;
    } catch (error) {
      if (error instanceof ProviderError && error.code === '404') return undefined;
      throw error;
    }
  }

  async create(name: string, body: object): Promise<string> {
    const answer = await this.#connection.call('create', {
      path: '/containers/create?',
      method: 'POST',
      options: { _query: { name }, _body: body },
      statusCodes: { 200: true, 201: true },
    });
    return this.#connection.parse('create', created, answer).Id;
  }

  /** Unpacks a tar archive into a folder of a container, started or not. */
  async put(id: string, folder: string, tar: Buffer): Promise<void> {
    await this.#connection.call('put', {
      path: `/containers/${id}/archive?`,
      method: 'PUT',
      file: tar,
      options: { _query: { path: folder }, _body: {} },
    });
  }

  async start(id: string): Promise<void> {
    await this.#connection.call('start', {
      path: `/containers/${id}/start`,
      method: 'POST',
      statusCodes: { 200: true, 204: true, 304: true },
    });
  }

  async stop(id: string, graceS: number): Promise<void> {
    await this.#connection.call(
      'stop',
      {
        path: `/containers/${id}/stop?`,
        method: 'POST',
        options: { _query: { t: graceS }, _body: {} },
        statusCodes: { 200: true, 204: true, 304: true, 404: true },
      },
      this.#timeoutMs + graceS * 1000,
    );
  }

  /** With its anonymous volumes. */
  async remove(id: string): Promise<void> {
    await this.#connection.call('remove', {
      path: `/containers/${id}?`,
      method: 'DELETE',
      options: { force: true, v: true },
      statusCodes: { 200: true, 204: true, 404: true, 409: true },
    });
  }

  /** Every container of the deployment. */
  async containers(deployment: string): Promise<readonly DispatcherContainer[]> {
    const answer = await this.#connection.call('list', {
      path: '/containers/json?',
      options: { all: true, filters: filterOf(deployment) },
    });
    const ids = this.#connection.parse('list', listedContainers, answer).map(({ Id }) => Id);
    const described = await Promise.all(ids.map((id) => this.container(id)));
    return described.filter((one) => one !== undefined);
  }

  /** Undefined if there is none. */
  async container(idOrName: string): Promise<DispatcherContainer | undefined> {
    try {
      const answer = await this.#connection.call('inspect', {
        path: `/containers/${encodeURIComponent(idOrName)}/json`,
      });
      return this.#connection.parse('inspect', container, answer);
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  /** Runs a command in a container that runs. Its output, both streams, bounded; undefined unless it ends with 0. */
  async execute(id: string, command: readonly string[]): Promise<string | undefined> {
    const answer = await this.#connection.call('exec', {
      path: `/containers/${id}/exec`,
      method: 'POST',
      options: { AttachStdout: true, AttachStderr: true, Cmd: command },
      statusCodes: { 200: true, 201: true },
    });
    const execution = this.#connection.parse('exec', created, answer).Id;
    const tail = new Tail();
    const frames = new FrameReader((bytes) => tail.push(bytes));
    await this.#connection.stream(
      'exec',
      { path: `/exec/${execution}/start`, method: 'POST', options: { Detach: false, Tty: false } },
      this.#timeoutMs,
      async (output) => {
        for await (const chunk of output) if (Buffer.isBuffer(chunk)) frames.push(chunk);
      },
    );
    const state = await this.#connection.call('exec', { path: `/exec/${execution}/json` });
    return this.#connection.parse('exec', ended, state).ExitCode === 0 ? tail.text() : undefined;
  }

  /** If it is there already, it stays as it is. */
  async createVolume(name: string, tags: Readonly<Record<string, string>>): Promise<void> {
    await this.#connection.call('volume', {
      path: '/volumes/create',
      method: 'POST',
      options: { Name: name, Labels: tags },
      statusCodes: { 200: true, 201: true },
    });
  }

  async volumes(deployment: string): Promise<readonly string[]> {
    const answer = await this.#connection.call('volume', {
      path: '/volumes?',
      options: { filters: filterOf(deployment) },
    });
    return (this.#connection.parse('volume', listedVolumes, answer).Volumes ?? []).map(({ Name }) => Name);
  }

  async removeVolume(name: string): Promise<void> {
    await this.#connection.call('volume', {
      path: `/volumes/${encodeURIComponent(name)}`,
      method: 'DELETE',
      statusCodes: { 200: true, 204: true, 404: true },
    });
  }
}

function filterOf(deployment: string): string {
  return JSON.stringify({ label: [`${DEPLOYMENT_TAG}=${deployment}`] });
}
