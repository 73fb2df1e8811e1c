/**
 * One request to the public address, as a runner would make it: straight, because the proxy of this process is not the
 * runners', and then through that proxy, if there is one, because this machine may have no other way out. It follows no
 * redirect, reads little, and only ever asks the address that dispatcher.yaml names.
 */
import type { RequestOptions } from 'node:http';
import type { Clock } from '../../time/clock.ts';
import { withDeadline } from '../../time/deadline.ts';
import { SECOND } from '../../time/units.ts';
import { pageOf } from '../failures/html-page.ts';
import { scrub } from '../failures/scrub.ts';

export interface AddressCall {
  readonly url: string;
  readonly form: string;
  readonly way: AddressWay;
}

/** `proxy`: the one that the environment prescribes. */
export type AddressWay = 'direct' | 'proxy';

export type AddressReply =
  | { readonly kind: 'answer'; readonly status: number; readonly text: string }
  | {
      readonly kind: 'none';
      readonly cause: 'dns' | 'refused' | 'tls' | 'timeout' | 'network';
      readonly words: string;
    };

/** Does not reject. */
export type CallAddress = (call: AddressCall) => Promise<AddressReply>;

const CALL_MS = 10 * SECOND;
const MAX_ANSWER_BYTES = 1024;
const WORDS_CHARACTERS = 200;

class TooLate extends Error {}

export function addressCaller(clock: Pick<Clock, 'after'>): CallAddress {
  return async (call) => {
    try {
      const late = () => new TooLate(`no answer within ${CALL_MS / SECOND} s`);
      return await withDeadline(clock, CALL_MS, late, undefined, (signal) => send(call, signal));
    } catch (error) {
      return { kind: 'none', cause: causeOf(error), words: scrub(wordsOf(error), WORDS_CHARACTERS) };
    }
  };
}

/** What came in the place of a proof, in words. */
export function answerInWords({ status, text }: Extract<AddressReply, { readonly kind: 'answer' }>): string {
  const page = pageOf(text);
  return page === undefined ? `status ${status}` : `status ${status}, ${scrub(page, WORDS_CHARACTERS)}`;
}

function send({ url, form, way }: AddressCall, signal: AbortSignal): Promise<AddressReply> {
  const { promise, resolve, reject } = Promise.withResolvers<AddressReply>();
  const target = new URL(url);
  // Not imported: see dispatcher/http/pipelines.ts.
  const web = process.getBuiltinModule(target.protocol === 'https:' ? 'node:https' : 'node:http');
  const options: RequestOptions = {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(form) },
    signal,
    // The process's own agent is the one with the proxy.
    ...(way === 'direct' ? { agent: new web.Agent({ keepAlive: false }) } : {}),
  };
  const request = web.request(target, options, (response) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const done = () => {
      const text = Buffer.concat(chunks).subarray(0, MAX_ANSWER_BYTES).toString('utf8');
      resolve({ kind: 'answer', status: response.statusCode ?? 0, text });
    };
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes <= MAX_ANSWER_BYTES) return;
      done();
      request.destroy();
    });
    response.on('end', done);
    response.on('error', reject);
  });
  request.on('error', reject);
  request.end(form);
  return promise;
}

const NAMES: ReadonlySet<string> = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME']);
const CERTIFICATE =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/;

function causeOf(error: unknown): Extract<AddressReply, { readonly kind: 'none' }>['cause'] {
  if (error instanceof TooLate) return 'timeout';
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (NAMES.has(code)) return 'dns';
  if (code === 'ECONNREFUSED') return 'refused';
  if (code === 'ETIMEDOUT' || code === 'ERR_SOCKET_CONNECTION_TIMEOUT') return 'timeout';
  return CERTIFICATE.test(code) ? 'tls' : 'network';
}

/** Where several addresses of a name were tried, the error has no message of its own. */
function wordsOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(wordsOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
