/**
 * A Google API's error: a code, a message, and details for clients (google.rpc.Status, google/rpc/error_details.proto).
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';

export type CodeName = Exclude<keyof typeof status, number>;

export interface RefusalDetails {
  /** `google.rpc.ErrorInfo.reason`, such as `RATE_LIMIT_EXCEEDED`. */
  readonly reason?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

/** Thrown by a method; becomes a gRPC status or an HTTP error. */
export class GoogleRefusal extends Error {
  readonly code: CodeName;
  readonly details: RefusalDetails;

  constructor(code: CodeName, message: string, details: RefusalDetails = {}) {
    super(message);
    this.name = 'GoogleRefusal';
    this.code = code;
    this.details = details;
  }
}

const httpStatuses: Readonly<Record<CodeName, number>> = {
  OK: 200,
  CANCELLED: 499,
  UNKNOWN: 500,
  INVALID_ARGUMENT: 400,
  DEADLINE_EXCEEDED: 504,
  NOT_FOUND: 404,
  ALREADY_EXISTS: 409,
  PERMISSION_DENIED: 403,
  RESOURCE_EXHAUSTED: 429,
  FAILED_PRECONDITION: 400,
  ABORTED: 409,
  OUT_OF_RANGE: 400,
  UNIMPLEMENTED: 501,
  INTERNAL: 500,
  UNAVAILABLE: 503,
  DATA_LOSS: 500,
  UNAUTHENTICATED: 401,
};

export const codeNames = Object.keys(httpStatuses);

export function isCodeName(text: string): text is CodeName {
  return Object.hasOwn(httpStatuses, text);
}

export function toHttp(refusal: GoogleRefusal): { status: number; body: object } {
  const code = httpStatuses[refusal.code];
  const { reason, retryAfterSeconds } = refusal.details;
  const details = [
    ...(reason === undefined
      ? []
      : [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'googleapis.com' }]),
    ...(retryAfterSeconds === undefined
      ? []
      : [{ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retryAfterSeconds}s` }]),
  ];
  return {
    status: code,
    body: {
      error: { code, message: refusal.message, status: refusal.code, ...(details.length === 0 ? {} : { details }) },
    },
  };
}

export function toGrpc(refusal: GoogleRefusal): ServiceError {
  const metadata = new Metadata();
  const details = encodeDetails(refusal);
  if (details !== undefined) metadata.set('grpc-status-details-bin', details);
  return Object.assign(new Error(refusal.message), {
    code: status[refusal.code],
    details: refusal.message,
    metadata,
  });
}

/** Encoded by hand: the SDKs' protos.json have google.rpc.Status, but not the messages in its details. */
function encodeDetails(refusal: GoogleRefusal): Buffer | undefined {
  const { reason, retryAfterSeconds } = refusal.details;
  const details: Buffer[] = [];
  if (reason !== undefined) {
    const info = Buffer.concat([text(1, reason), text(2, 'googleapis.com')]);
    details.push(any('google.rpc.ErrorInfo', info));
  }
  if (retryAfterSeconds !== undefined) {
    details.push(any('google.rpc.RetryInfo', bytes(1, integer(1, Math.floor(retryAfterSeconds)))));
  }
  if (details.length === 0) return undefined;
  return Buffer.concat([
    integer(1, status[refusal.code]),
    text(2, refusal.message),
    ...details.map((detail) => bytes(3, detail)),
  ]);
}

function any(type: string, value: Buffer): Buffer {
  return Buffer.concat([text(1, `type.googleapis.com/${type}`), bytes(2, value)]);
}

function text(field: number, value: string): Buffer {
  return bytes(field, Buffer.from(value));
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([varint((field << 3) | 2), varint(value.length), value]);
}

function integer(field: number, value: number): Buffer {
  return Buffer.concat([varint(field << 3), varint(value)]);
}

function varint(value: number): Buffer {
  const out: number[] = [];
  let rest = value;
  while (rest > 127) {
    out.push((rest & 127) | 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...out, rest]);
}
