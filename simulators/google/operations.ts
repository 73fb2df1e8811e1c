/** google.longrunning.Operations: started operations and their outcome. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { GoogleRefusal } from './status.ts';

/** A message in an Any: its fields beside `@type`, as `type.googleapis.com/<full name>`. */
export type Packed = { readonly '@type': string };

export interface Begun {
  /** `projects/P/locations/R` */
  readonly parent: string;
  /** The current metadata; read each time the operation is read. */
  metadata(): Packed;
  /** Undefined while it runs. */
  result(): { readonly response: Packed } | { readonly error: { code: number; message: string } } | undefined;
}

const named = z.object({ name: z.string() });
/** The real ones are kept for about a month; here only the last ones are kept. */
const KEPT = 10_000;

export class Operations {
  readonly #begun = new Map<string, Begun>();

  begin(operation: Begun): object {
    const name = `${operation.parent}/operations/${randomUUID()}`;
    this.#begun.set(name, operation);
    for (const oldest of this.#begun.keys()) {
      if (this.#begun.size <= KEPT) break;
      this.#begun.delete(oldest);
    }
    return this.#view(name, operation);
  }

  /** The methods of the gRPC service. */
  readonly methods = {
    GetOperation: (request: object): object => {
      const { name } = named.parse(request);
      const operation = this.#begun.get(name);
      if (operation === undefined) throw new GoogleRefusal('NOT_FOUND', `Operation ${name} was not found`);
      return this.#view(name, operation);
    },
  };

  #view(name: string, operation: Begun): object {
    const result = operation.result();
    return { name, metadata: operation.metadata(), done: result !== undefined, ...result };
  }
}
