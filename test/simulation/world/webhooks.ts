/** What happens to a delivery between GitHub and the dispatcher: lost, doubled, late and so out of order. */

import type { Delivery, JobFact } from '../../../dispatcher/jobs/facts.ts';
import type { Clock } from '../../../time/clock.ts';
import type { Dice } from '../faults.ts';
import type { History } from '../trace.ts';
import type { ToldFact } from './jobs.ts';

export type Receiver = (delivery: Delivery, fact: JobFact) => void;

export interface WebhooksOptions {
  readonly clock: Clock;
  readonly dice: Dice;
  readonly history: History;
  readonly receive: Receiver;
  /** Nothing gets through now. */
  readonly blind: () => boolean;
}

const LATEST_MS = 40 * 60_000;

export class Webhooks {
  readonly #options: WebhooksOptions;
  #sent = 0;

  constructor(options: WebhooksOptions) {
    this.#options = options;
  }

  /** GitHub fills in the payload now; it says what is true now, whenever it arrives. */
  send(fact: ToldFact): void {
    const { blind, dice, history } = this.#options;
    const luck = dice.stream('webhook delays');
    this.#sent += 1;
    const guid = `guid-${this.#sent}`;
    const what = `${guid} ${fact.status}`;
    const subject = `job-${fact.jobId}`;
    const doubled = dice.hits('webhookDoubled');
    const late = dice.hits('webhookLate');
    const delayMs = late ? luck.magnitude(5_000, LATEST_MS) : luck.between(100, 3_000);
    const secondMs = luck.magnitude(100, LATEST_MS);
    if (blind()) {
      dice.suffer();
      history.record('webhook', [subject], `${what} LOST: we are blind`);
      return;
    }
    if (dice.hits('webhookLost')) history.record('webhook', [subject], `${what} LOST`);
    else this.#deliver(guid, fact, delayMs);
    if (doubled) this.#deliver(guid, fact, secondMs);
  }

  #deliver(guid: string, fact: ToldFact, delayMs: number): void {
    const { clock, receive } = this.#options;
    clock.after(delayMs, () => {
      const receivedAtMs = clock.now();
      receive(
        { endpoint: fact.host, guid, event: 'workflow_job', action: fact.status, receivedAtMs },
        { ...fact, source: 'webhook', toldBy: null, observedAtMs: receivedAtMs },
      );
    });
  }
}
