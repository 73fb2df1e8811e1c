import { createHmac } from 'node:crypto';
import type { Faults } from './faults.ts';
import type { Hook, Installation, Repository } from './model.ts';
import { nodeId, simpleUser, webhookOrganization } from './payloads/account.ts';
import { hookPayload } from './payloads/hook.ts';
import { webhookRepository } from './payloads/repository.ts';
import type { Urls } from './payloads/urls.ts';
import type { World } from './world.ts';

/** One attempt, as in the delivery log. A redelivery is a separate entry with the same GUID. */
export interface DeliveryRecord {
  readonly id: number;
  readonly guid: string;
  readonly hook: Hook;
  readonly event: string;
  readonly action: string | null;
  readonly installationId: number | null;
  readonly repositoryId: number | null;
  readonly redelivery: boolean;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly body: string;
  deliveredAtMs: number;
  durationS: number;
  /** `pending`, `OK`, or the failure, in GitHub's words. */
  status: string;
  /** 0 while pending; without an answer what GitHub lists then: 502, 504. */
  statusCode: number;
  responseHeaders: Readonly<Record<string, string>>;
  responseBody: string | null;
}

/** What is delivered to one hook. */
type HookEvent = Pick<DeliveryRecord, 'hook' | 'event' | 'action' | 'body' | 'repositoryId' | 'installationId'>;

/** github.com allows a receiver ten seconds. */
const receiverTimeoutMs = 10_000;
const inFlightAtMost = 50;
const logEntriesAtMost = 20_000;
const responseBytesAtMost = 64 * 1024;
const reorderHoldMs = 2_000;

export class Webhooks {
  readonly #world: World;
  readonly #faults: Faults;
  readonly #urls: () => Urls;
  readonly #log = new Map<number, DeliveryRecord>();
  readonly #queue: DeliveryRecord[] = [];
  /** Held back by the reorder fault, by hook. */
  readonly #held = new Map<number, { record: DeliveryRecord; cancel: () => void }>();
  readonly #timers = new Set<() => void>();
  readonly #aborts = new Set<AbortController>();
  #inFlight = 0;
  #closed = false;

  constructor(world: World, faults: Faults, urls: () => Urls) {
    this.#world = world;
    this.#faults = faults;
    this.#urls = urls;
  }

  /** Every subscribed hook gets the event, with the fields for its kind. */
  emit(event: string, action: string, repository: Repository, body: Readonly<Record<string, unknown>>): void {
    // One for the event, whichever hooks it goes to.
    const guid = this.#world.uuid();
    for (const hook of this.#world.hooks.values()) {
      if (!hook.active || !(hook.events.includes(event) || hook.events.includes('*'))) continue;
      const reach = this.#reach(hook, repository);
      if (!reach.reached) continue;
      const payload = {
        action,
        ...body,
        repository: webhookRepository(repository, this.#urls()),
        ...this.#organization(repository),
        sender: simpleUser(repository.owner, this.#urls()),
        ...(reach.installation
          ? { installation: { id: reach.installation.id, node_id: nodeId('Installation', reach.installation.id) } }
          : {}),
      };
      this.#deliver(guid, {
        hook,
        event,
        action,
        body: JSON.stringify(payload),
        repositoryId: repository.id,
        installationId: reach.installation?.id ?? null,
      });
    }
  }

  ping(hook: Hook): DeliveryRecord {
    const urls = this.#urls();
    const { owner } = hook;
    const about =
      owner.kind === 'repository'
        ? { repository: webhookRepository(owner.repository, urls), sender: simpleUser(owner.repository.owner, urls) }
        : owner.kind === 'organization'
          ? { organization: webhookOrganization(owner.account, urls), sender: simpleUser(owner.account, urls) }
          : {};
    const payload = {
      zen: 'Half measures are as bad as nothing at all.',
      hook_id: hook.id,
      hook: hookPayload(hook, urls),
      ...about,
    };
    const repository = owner.kind === 'repository' ? owner.repository : undefined;
    const record = this.#record({
      hook,
      event: 'ping',
      action: null,
      body: JSON.stringify(payload),
      repositoryId: repository?.id ?? null,
      installationId: null,
    });
    this.#enqueue(record);
    return record;
  }

  /** Keeps the GUID, as GitHub does; delivery faults do not apply. */
  redeliver(original: DeliveryRecord): DeliveryRecord {
    const record = this.#record(original, { guid: original.guid, redelivery: true });
    this.#enqueue(record);
    return record;
  }

  find(hook: Hook, id: number): DeliveryRecord | undefined {
    const record = this.#log.get(id);
    return record?.hook === hook ? record : undefined;
  }

  /** Newest first. */
  log(hook?: Hook): DeliveryRecord[] {
    return [...this.#log.values()].filter((record) => !hook || record.hook === hook).reverse();
  }

  get pending(): number {
    return this.#queue.length + this.#inFlight + this.#held.size + this.#timers.size;
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#timers) cancel();
    for (const { cancel } of this.#held.values()) cancel();
    for (const abort of this.#aborts) abort.abort();
    this.#queue.length = 0;
  }

  #reach(hook: Hook, repository: Repository): { reached: boolean; installation?: Installation } {
    const { owner } = hook;
    if (owner.kind === 'repository') return { reached: owner.repository === repository };
    if (owner.kind === 'organization') return { reached: owner.account === repository.owner };
    for (const installation of this.#world.installations.values()) {
      if (installation.app !== owner.app || installation.account !== repository.owner) continue;
      if (installation.repositoryIds && !installation.repositoryIds.has(repository.id)) continue;
      return { reached: true, installation };
    }
    return { reached: false };
  }

  #organization(repository: Repository) {
    return repository.owner.type === 'Organization'
      ? { organization: webhookOrganization(repository.owner, this.#urls()) }
      : {};
  }

  #deliver(guid: string, event: HookEvent): void {
    const faults = this.#faults.settings.webhooks;
    if (this.#faults.happens(faults.vanish)) return;
    const { hook } = event;
    const make = () => this.#record(event, { guid, redelivery: false });
    const record = make();
    if (this.#faults.happens(faults.lose)) {
      this.#fail(record, 'failed to connect to host', 502);
      return;
    }
    if (this.#faults.happens(faults.double)) this.#enqueue(make());
    if (this.#faults.happens(faults.late)) {
      this.#later(this.#faults.between(faults.lateMs), () => this.#enqueue(record));
    } else if (this.#faults.happens(faults.reorder) && !this.#held.has(hook.id)) {
      const cancel = this.#world.clock.after(reorderHoldMs, () => this.#release(hook));
      this.#held.set(hook.id, { record, cancel });
    } else {
      this.#enqueue(record);
      this.#release(hook);
    }
  }

  #release(hook: Hook): void {
    const held = this.#held.get(hook.id);
    if (!held) return;
    this.#held.delete(hook.id);
    held.cancel();
    this.#enqueue(held.record);
  }

  #later(ms: number, action: () => void): void {
    const cancel = this.#world.clock.after(ms, () => {
      this.#timers.delete(cancel);
      action();
    });
    this.#timers.add(cancel);
  }

  #record(
    { hook, event, action, body, repositoryId, installationId }: HookEvent,
    { guid, redelivery }: Pick<DeliveryRecord, 'guid' | 'redelivery'> = { guid: this.#world.uuid(), redelivery: false },
  ): DeliveryRecord {
    const wire = hook.contentType === 'form' ? `payload=${encodeURIComponent(body)}` : body;
    const record: DeliveryRecord = {
      id: this.#world.bigId(),
      guid,
      hook,
      event,
      action,
      installationId,
      repositoryId,
      redelivery,
      requestHeaders: headersOf(hook, event, guid, wire),
      body,
      deliveredAtMs: this.#world.now(),
      durationS: 0,
      status: 'pending',
      statusCode: 0,
      responseHeaders: {},
      responseBody: null,
    };
    this.#log.set(record.id, record);
    if (this.#log.size > logEntriesAtMost) {
      const oldest = this.#log.keys().next();
      if (!oldest.done) this.#log.delete(oldest.value);
    }
    return record;
  }

  #enqueue(record: DeliveryRecord): void {
    if (this.#closed) return;
    this.#queue.push(record);
    this.#pump();
  }

  #pump(): void {
    while (this.#inFlight < inFlightAtMost) {
      const record = this.#queue.shift();
      if (!record) return;
      this.#inFlight += 1;
      void this.#send(record).finally(() => {
        this.#inFlight -= 1;
        this.#world.changed();
        this.#pump();
      });
    }
  }

  /** Never rejects: failures are recorded in the log. Nothing is retried, as on github.com. */
  async #send(record: DeliveryRecord): Promise<void> {
    const startedAtMs = this.#world.now();
    record.deliveredAtMs = startedAtMs;
    const abort = new AbortController();
    this.#aborts.add(abort);
    let timedOut = false;
    const cancel = this.#world.clock.after(receiverTimeoutMs, () => {
      timedOut = true;
      abort.abort();
    });
    const { hook, body } = record;
    try {
      const response = await fetch(hook.url, {
        method: 'POST',
        headers: record.requestHeaders,
        body: hook.contentType === 'form' ? `payload=${encodeURIComponent(body)}` : body,
        redirect: 'manual',
        signal: abort.signal,
      });
      record.responseHeaders = Object.fromEntries(response.headers);
      record.responseBody = await boundedText(response);
      record.statusCode = response.status;
      record.status = response.ok ? 'OK' : `Invalid HTTP Response: ${response.status}`;
    } catch {
      this.#fail(record, timedOut ? 'timed out' : 'failed to connect to host', timedOut ? 504 : 502);
    } finally {
      cancel();
      this.#aborts.delete(abort);
      record.durationS = Math.max(0, this.#world.now() - startedAtMs) / 1_000;
    }
  }

  #fail(record: DeliveryRecord, status: string, code: number): void {
    record.status = status;
    record.statusCode = code;
  }
}

function headersOf(hook: Hook, event: string, guid: string, wire: string): Record<string, string> {
  const { owner, secret } = hook;
  const target =
    owner.kind === 'app'
      ? (['integration', owner.app.id] as const)
      : owner.kind === 'organization'
        ? (['organization', owner.account.id] as const)
        : (['repository', owner.repository.id] as const);
  const sign = (algorithm: string): string =>
    createHmac(algorithm, secret ?? '')
      .update(wire)
      .digest('hex');
  return {
    Accept: '*/*',
    'Content-Type': hook.contentType === 'form' ? 'application/x-www-form-urlencoded' : 'application/json',
    'User-Agent': 'GitHub-Hookshot/5f1c3a7',
    'X-GitHub-Delivery': guid,
    'X-GitHub-Event': event,
    'X-GitHub-Hook-ID': String(hook.id),
    'X-GitHub-Hook-Installation-Target-ID': String(target[1]),
    'X-GitHub-Hook-Installation-Target-Type': target[0],
    ...(secret === undefined
      ? {}
      : { 'X-Hub-Signature': `sha1=${sign('sha1')}`, 'X-Hub-Signature-256': `sha256=${sign('sha256')}` }),
  };
}

async function boundedText(response: Response): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    parts.push(Buffer.from(part));
    bytes += part.length;
    if (bytes >= responseBytesAtMost) break;
  }
  return Buffer.concat(parts).toString('utf8', 0, responseBytesAtMost);
}
