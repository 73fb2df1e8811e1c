/** Ctrl-C in `shr deploy`: says what goes on without the command, and how it is gone on with. */
import { constants } from 'node:os';
import { DRAINING, saysItWaits } from '../../../deployers/destroy.ts';
import type { Terminal } from '../terminal.ts';

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

export class Interruption {
  readonly #terminal: Pick<Terminal, 'error'>;
  #phase: keyof typeof WORDS = 'nothing';

  constructor(terminal: Pick<Terminal, 'error'>) {
    this.#terminal = terminal;
    for (const signal of SIGNALS) process.on(signal, this.#end);
  }

  /** A line that the command printed: something has begun. */
  told(line: string): void {
    if (line === DRAINING) this.#phase = 'turning';
    else if (saysItWaits(line)) this.#phase = 'draining';
    else if (this.#phase !== 'turning') this.#phase = 'changing';
  }

  get words(): string {
    return WORDS[this.#phase];
  }

  /** The command is over: signals mean what they did. */
  end(): void {
    for (const signal of SIGNALS) process.off(signal, this.#end);
  }

  // Every step can be repeated, so that nothing has to be tidied up.
  readonly #end = (signal: (typeof SIGNALS)[number]): void => {
    this.#terminal.error(`\nshr: interrupted. ${this.words}\n`);
    process.exit(128 + constants.signals[signal]);
  };
}

const WORDS = {
  nothing: 'Nothing was changed.',
  changing: 'The same command goes on where it stopped; `shr deploy status` shows how it is now.',
  // The one that serves is replaced step by step.
  turning:
    'The dispatcher may not drain yet, and launch runners as before: `shr deploy status` tells. ' +
    'The same command goes on, and `shr deploy apply` (make: lazy_install) keeps the dispatcher.',
  draining:
    'The dispatcher goes on draining without this command: it launches nothing, and its jobs run to their end. ' +
    'The same command goes on, and `shr deploy apply` (make: lazy_install) brings the dispatcher back.',
} as const;
