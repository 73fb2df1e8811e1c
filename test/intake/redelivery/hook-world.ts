/** A redelivery on a real ledger, beside a GitHub whose log of deliveries is a list. */
import { z } from 'zod';
import type { HookPlace } from '../../../dispatcher/github/delivery-log.ts';
import { GithubError } from '../../../dispatcher/github/github.ts';
import type { Caller, GithubAnswer, GithubCall } from '../../../dispatcher/github/requester.ts';
import { EndpointIndex } from '../../../dispatcher/intake/endpoints.ts';
import { AnsweredDeliveries } from '../../../dispatcher/intake/redelivery/answered-deliveries.ts';
import { Redelivery, type RedeliveryOptions } from '../../../dispatcher/intake/redelivery/redelivery.ts';
import type { Registration, WebhookEndpoint } from '../../../dispatcher/model/registration.ts';
import { VirtualClock } from '../../github/virtual-clock.ts';
import { fact } from '../../ledger/examples.ts';
import { OpenedLedger } from '../../ledger/opened-ledger.ts';
import { newSqlitePlace } from '../../ledger/sqlite-place.ts';
import { LogLines, tenant } from '../intake-fixture.ts';

export const PUBLIC_URL = 'https://shr.example';
const PER_PAGE = 100;

export interface Entry {
  readonly id: number;
  readonly guid: string;
  readonly atMs: number;
  readonly redelivery: boolean;
  readonly status: number;
  readonly event: string;
  readonly action: string;
  readonly repository: number;
}

/** One place's webhook with its log, as one set of credentials sees it. */
export class Hook implements Caller {
  url = `${PUBLIC_URL}/webhooks/github/acme`;
  id = 7;
  /** Oldest first. */
  readonly entries: Entry[] = [];
  readonly calls: { readonly method: string; readonly route: string; readonly id?: number }[] = [];
  /** Before the call takes effect; after it, where `after` is set. */
  obstacle: (call: Pick<GithubCall<unknown>, 'method' | 'route'>) => GithubError | undefined = () => undefined;
  /** The answer to what is sent again; undefined: nobody takes it. */
  receive: (entry: Entry) => Promise<number> = async () => 202;
  /** The status with which it sends nothing again, although it has it. */
  refuses: number | undefined;
  /** It names a next page after each. */
  isEndless = false;
  /** Its answers never come. */
  isStuck = false;
  readonly #clock: VirtualClock;
  #ids = 1_000;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  get asked(): readonly string[] {
    return this.calls.flatMap(({ method, id }) =>
      method === 'POST' ? [this.entries.find((entry) => entry.id === id)?.guid ?? `${id}`] : [],
    );
  }

  sent(guid: string, more: Partial<Entry> = {}): Entry {
    this.#ids += 1;
    const entry = {
      ...{ id: this.#ids, guid, atMs: this.#clock.now(), redelivery: false, status: 502 },
      ...{ event: 'workflow_job', action: 'queued', repository: 1 },
      ...more,
    };
    this.entries.push(entry);
    return entry;
  }

  pending = 0;

  async call<T>(call: GithubCall<T>): Promise<GithubAnswer<T>> {
    this.pending += 1;
    try {
      return await this.#call(call);
    } finally {
      this.pending -= 1;
    }
  }

  async #call<T>(call: GithubCall<T>): Promise<GithubAnswer<T>> {
    const { method, route, parameters } = call;
    const id = Number(parameters['delivery_id'] ?? 0);
    this.calls.push({ method, route, ...(id === 0 ? {} : { id }) });
    await new Promise(setImmediate);
    const refused = this.obstacle(call);
    if (refused !== undefined) throw refused;
    if ((parameters['hook_id'] ?? this.id) !== this.id) throw refusal('not-found', 404);
    if (method === 'POST') return await this.#redeliver(call, id);
    if (route.endsWith('/{delivery_id}')) {
      const isKept = this.entries.some((entry) => entry.id === id);
      return isKept ? answer(call, {}) : { accepted: true, status: 404, message: 'Not Found' };
    }
    if (route.endsWith('/config')) return answer(call, { url: this.url });
    if (!route.endsWith('/deliveries'))
      return answer(call, this.url === '' ? [] : [{ id: this.id, config: { url: this.url } }]);
    const all = this.entries.toReversed();
    const from = Number(parameters['cursor'] ?? 0);
    const page = all.slice(from, from + PER_PAGE).map((entry) => ({
      ...{ id: entry.id, guid: entry.guid, delivered_at: new Date(entry.atMs).toISOString() },
      ...{ redelivery: entry.redelivery, status_code: entry.status, event: entry.event, action: entry.action },
      ...{ installation_id: null, repository_id: entry.repository },
    }));
    const more = from + PER_PAGE < all.length || this.isEndless;
    return answer(call, page, more ? String(from + PER_PAGE) : undefined);
  }

  async #redeliver<T>(call: GithubCall<T>, id: number): Promise<GithubAnswer<T>> {
    const entry = this.entries.find((one) => one.id === id);
    const refused = entry === undefined ? 404 : this.refuses;
    if (entry === undefined || refused !== undefined) {
      if (call.accept?.includes(refused ?? 404) !== true) throw refusal('not-found', refused ?? 404);
      return { accepted: true, status: refused ?? 404, message: 'Not Found' };
    }
    const status = await this.receive(entry);
    const { id: _, ...same } = entry;
    this.sent(entry.guid, { ...same, atMs: this.#clock.now(), redelivery: true, status });
    return answer(call, {});
  }
}

function answer<T>(call: GithubCall<T>, body: unknown, nextCursor?: string): GithubAnswer<T> {
  const data = call.answer.parse(body);
  const hasNext = nextCursor !== undefined;
  return { accepted: false, data, hasNext, nextCursor, isPartial: false, sentAtMs: 0, characters: 0 };
}

export function refusal(kind: GithubError['kind'], status: number): GithubError {
  return new GithubError(kind, 'GET /x', `GitHub answered ${status}: no`, { status });
}

export class HookWorld {
  readonly clock = new VirtualClock();
  readonly at = new OpenedLedger(newSqlitePlace);
  readonly log = new LogLines();
  readonly counts = new Map<string, number>();
  registrations: readonly Registration[] = [tenant('acme')];
  endpoints: readonly WebhookEndpoint[] = [];
  publicUrl: string | undefined = PUBLIC_URL;
  isHeld = false;
  /** How far this machine's clock is ahead of GitHub's. */
  aheadMs = 0;
  #pending = 0;
  /** By registration and kind of place. */
  readonly hooks = new Map<string, Hook>();
  answered = new AnsweredDeliveries();
  redelivery: Redelivery | undefined;

  hook(registration = 'acme', kind: HookPlace['kind'] = 'organization'): Hook {
    const key = `${registration} ${kind}`;
    const hook = this.hooks.get(key) ?? new Hook(this.clock);
    this.hooks.set(key, hook);
    return hook;
  }

  /** A dispatcher on the same ledger: one before is as if it had been killed. */
  start(): Redelivery {
    const index = new EndpointIndex(this.endpoints, this.registrations);
    this.redelivery = new Redelivery({
      registrations: () => this.registrations,
      endpoints: () => index,
      caller: ({ name }, { kind }) => this.hooks.get(`${name} ${kind}`),
      ledger: this.#counted(),
      publicUrl: this.publicUrl,
      githubNow: () => this.clock.now() - this.aheadMs,
      isHeld: () => this.isHeld,
      isAnswered: (endpoint, guid) => this.answered.has(endpoint, guid),
      metrics: {
        missedDeliveries: (outcome, count) => {
          this.counts.set(outcome, (this.counts.get(outcome) ?? 0) + count);
        },
      },
      clock: this.clock,
      random: () => 0.5,
      log: this.log,
    });
    this.redelivery.start();
    return this.redelivery;
  }

  async arrive(guid: string, endpoint = 'registration/acme'): Promise<void> {
    await this.at.ledger.recordDeliveries([
      {
        delivery: { endpoint, guid, event: 'workflow_job', action: 'queued', receivedAtMs: this.clock.now() },
        fact: fact({ jobId: 1 + this.clock.now() }),
      },
    ]);
  }

  /** What is on the way to the disk, or to GitHub, gets there in between. */
  async pass(ms: number): Promise<void> {
    const stepMs = ms > 900_000 ? 60_000 : 5_000;
    for (let left = ms; left > 0; left -= stepMs) {
      await this.clock.advance(Math.min(stepMs, left));
      await this.#idle();
    }
  }

  async #idle(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet += 1) {
      await new Promise(setImmediate);
      if (this.#pending > 0 || [...this.hooks.values()].some(({ pending, isStuck }) => pending > 0 && !isStuck))
        quiet = 0;
    }
  }

  /** The ledger, with what is under way counted. */
  #counted(): RedeliveryOptions['ledger'] {
    const { ledger } = this.at;
    const counted = async <T>(work: Promise<T>): Promise<T> => {
      this.#pending += 1;
      try {
        return await work;
      } finally {
        this.#pending -= 1;
      }
    };
    return {
      cursor: (name) => counted(ledger.cursor(name)),
      noteListed: (listed) => counted(ledger.noteListed(listed)),
      beginRedeliveries: (wanted) => counted(ledger.beginRedeliveries(wanted)),
      takeBackRedeliveries: (...those) => counted(ledger.takeBackRedeliveries(...those)),
      giveUpRedelivery: (...one) => counted(ledger.giveUpRedelivery(...one)),
      openMissed: () => counted(ledger.openMissed()),
    };
  }

  events(event: string): readonly Readonly<Record<string, unknown>>[] {
    const fields = z.record(z.string(), z.unknown());
    return this.log.lines.filter((line) => line.event === event).map((line) => fields.parse(line.fields ?? {}));
  }
}
