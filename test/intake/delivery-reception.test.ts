import { createHmac, createSecretKey } from 'node:crypto';
import { expect } from 'chai';
import type { DeliveryAnswer } from '../../dispatcher/intake/answer.ts';
import { pong } from '../../dispatcher/intake/answers.ts';
import { KeptBody } from '../../dispatcher/intake/body.ts';
import type { Candidate } from '../../dispatcher/intake/endpoints.ts';
import { DeliveryReception, tooManyPieces } from '../../dispatcher/intake/reception.ts';
import { SignatureCheck } from '../../dispatcher/intake/signature.ts';

const BODY = Buffer.from('{"action":"queued"}');

function candidate(name: string): Candidate {
  const webhookSource = { endpoint: name, host: 'github.com', registration: null, mayReport: () => true };
  return { key: createSecretKey(name, 'utf8'), webhookSource };
}

interface Wish {
  readonly signedBy?: string;
  readonly maxBytes?: number;
  /** Of the room that all bodies share. */
  readonly room?: number;
  readonly judge?: (endpoint: string, body: string) => Promise<DeliveryAnswer>;
}

function receiving({ signedBy = 'second', maxBytes = 1_000, room = 10_000, judge = async () => pong }: Wish = {}) {
  const told: string[] = [];
  let held = 0;
  const allowance = {
    reserve: (bytes: number) => {
      if (held + bytes > room) return false;
      held += bytes;
      return true;
    },
    release: (bytes: number) => {
      held -= bytes;
    },
  };
  const tried = [candidate('first'), candidate('second')];
  const reception = new DeliveryReception({
    check: new SignatureCheck(
      createHmac('sha256', signedBy).update(BODY).digest(),
      tried.map(({ key }) => key),
    ),
    tried,
    body: new KeptBody(allowance, maxBytes),
    maxBytes,
    complete: () => told.push('complete'),
    turnAway: ({ outcome }) => told.push(`turned away: ${outcome}`),
    over: (outcome, cause) => told.push(`over: ${outcome}${cause === undefined ? '' : ` for ${cause}`}`),
    unknownSigner: () => told.push('unknown signer'),
    signed: ({ endpoint }, body) => judge(endpoint, body.toString()),
    defect: (error) => told.push(`defect: ${String(error)}`),
  });
  return { reception, told, held: () => held };
}

describe('the reception of a delivery', () => {
  it('hands a body to the one whose key signed it, and keeps it no longer than it is read', async () => {
    let commit = (_: DeliveryAnswer) => {};
    const heard: string[] = [];
    const { reception, told, held } = receiving({
      judge: (endpoint, body) => {
        heard.push(endpoint, body);
        return new Promise((resolve) => {
          commit = resolve;
        });
      },
    });
    expect(reception.take(BODY.subarray(0, 5))).to.equal(undefined);
    expect(reception.take(BODY.subarray(5))).to.equal(undefined);
    const finished = reception.finish().finally(() => told.push('answered'));
    const heldAtCommit = held();
    expect(told, 'while it is written').to.deep.equal(['complete']);
    commit(pong);
    expect(await finished).to.equal(pong);
    expect(heard).to.deep.equal(['second', BODY.toString()]);
    expect(heldAtCommit).to.equal(0);
    expect(told).to.deep.equal(['complete', 'over: ping', 'answered']);
  });

  it('refuses what no key here has signed', async () => {
    const { reception, told } = receiving({ signedBy: 'a stranger' });
    reception.take(BODY);
    expect((await reception.finish()).status).to.equal(401);
    expect(told).to.deep.equal(['complete', 'unknown signer', 'over: bad-signature']);
  });

  it('answers a defect with 500, which costs this delivery alone', async () => {
    const { reception, told, held } = receiving({
      judge: () => {
        throw new TypeError('oops');
      },
    });
    reception.take(BODY);
    expect((await reception.finish()).status).to.equal(500);
    expect(told).to.deep.equal(['complete', 'defect: TypeError: oops', 'over: failed']);
    expect(held()).to.equal(0);
  });

  it('takes as many bytes as are allowed, and refuses the next, once', () => {
    const { reception, told, held } = receiving({ maxBytes: 100 });
    expect(reception.take(Buffer.alloc(60))).to.equal(undefined);
    expect(reception.take(Buffer.alloc(40))).to.equal(undefined);
    expect(reception.take(Buffer.alloc(1))?.status).to.equal(413);
    expect(reception.take(Buffer.alloc(1))).to.equal(undefined);
    reception.abandon();
    reception.giveWay();
    expect(told).to.deep.equal(['over: too-large']);
    expect(held()).to.equal(0);
  });

  it('gives way when memory is used up, and when it is the oldest', () => {
    const small = receiving({ room: 50 });
    expect(small.reception.take(Buffer.alloc(60))?.status).to.equal(503);
    expect(small.told).to.deep.equal(['over: gave-way for memory']);
    const oldest = receiving();
    oldest.reception.take(Buffer.alloc(60));
    oldest.reception.giveWay();
    oldest.reception.giveWay();
    expect(oldest.told).to.deep.equal(['over: gave-way for memory', 'turned away: gave-way']);
    expect(oldest.held()).to.equal(0);
  });

  it('is cut off with what is wrong with it, and ends once', () => {
    for (const [why, status, outcome] of [
      ['slow', 408, 'slow'],
      ['connections', 503, 'gave-way'],
    ] as const) {
      const { reception, told } = receiving();
      expect(reception.cutOff(why).status).to.equal(status);
      expect(reception.cutOff(why).status).to.equal(status);
      expect(told).to.deep.equal([`over: ${outcome} for ${why}`]);
    }
    const { reception, told } = receiving();
    reception.abandon();
    reception.abandon();
    expect(told).to.deep.equal(['over: aborted']);
  });

  it('allows 256 pieces, and one more for each 128 bytes', () => {
    expect([tooManyPieces(256, 0), tooManyPieces(257, 0)]).to.deep.equal([false, true]);
    expect([tooManyPieces(266, 1_280), tooManyPieces(267, 1_280)]).to.deep.equal([false, true]);
    const { reception } = receiving({ maxBytes: 10_000, room: 100_000 });
    let pieces = 0;
    while (pieces < 1_000 && reception.take(Buffer.alloc(1)) === undefined) pieces += 1;
    expect(pieces).to.equal(258);
  });
});
