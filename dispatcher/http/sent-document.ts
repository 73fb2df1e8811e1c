/** What comes with a request beside its parameters: a document, and the state that its sender expects. */
import type { Request } from 'express';
import { REGISTRATION_BOUNDS } from '../config/load.ts';
import { AdminProblem } from './admin-problem.ts';
import type { Sent } from './endpoint.ts';
import type { Viewer } from './viewer.ts';

const TYPES = ['application/json', 'application/yaml', 'application/x-yaml', 'text/yaml', 'text/plain'];
/** At the same time: each is held whole. */
const MAX_OPEN = 64;
/** So that one who sends them slowly leaves room for others. */
const MAX_OPEN_OF_ONE = 4;

/** Bodies that are being received now, of tenants and of the platform. */
export type OpenBodies = Map<string, number>;

export function sentWith(request: Request, { tenants }: Pick<Viewer, 'tenants'>, bodies: OpenBodies): Sent {
  const share = tenants?.toSorted()[0] ?? '';
  return { expected: expectedBy(request), document: () => documentOf(request, share, bodies) };
}

function expectedBy(request: Request): Sent['expected'] {
  const absent = request.get('if-none-match');
  // Of a read it says what the reader has: see sendTagged.
  if (absent?.trim() === '*' && request.method !== 'GET') return null;
  const tag = request.get('if-match')?.trim();
  if (tag === undefined || tag === '') return undefined;
  if (tag === '*') return 'any';
  const known = /^(?:W\/)?"([\x21\x23-\x7e]{1,100})"$/.exec(tag)?.[1];
  if (known !== undefined) return known;
  throw new AdminProblem(400, 'If-Match is not one ETag', 'Send back the ETag of the answer, with its quotes.');
}

async function documentOf(request: Request, share: string, bodies: OpenBodies): Promise<string> {
  const type = request.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === undefined || !TYPES.includes(type) || request.get('content-encoding') !== undefined) {
    throw new AdminProblem(
      415,
      'the body is not announced as a document',
      'Send it as application/json or application/yaml, and not compressed.',
    );
  }
  const { bytes: most } = REGISTRATION_BOUNDS;
  if (Number(request.get('content-length') ?? 0) > most) throw tooLarge(most);
  const own = bodies.get(share) ?? 0;
  const all = [...bodies.values()].reduce((sum, one) => sum + one, 0);
  if (own >= MAX_OPEN_OF_ONE || all >= MAX_OPEN) {
    throw new AdminProblem(503, 'too many documents are being received', 'Try again.');
  }
  bodies.set(share, own + 1);
  try {
    const chunks: Buffer[] = [];
    let bytes = 0;
    // The listener bounds its time.
    for await (const chunk of request) {
      if (!Buffer.isBuffer(chunk)) continue;
      bytes += chunk.length;
      if (bytes > most) throw tooLarge(most);
      chunks.push(chunk);
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    if (error instanceof AdminProblem) throw error;
    throw new AdminProblem(400, 'the body is not whole, or not text in UTF-8', 'Send it again.');
  } finally {
    const left = (bodies.get(share) ?? 1) - 1;
    if (left > 0) bodies.set(share, left);
    else bodies.delete(share);
  }
}

function tooLarge(most: number): AdminProblem {
  return new AdminProblem(413, `the document is longer than ${most} bytes`, 'Leave out what is not needed.');
}
