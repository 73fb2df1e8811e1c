/** A gRPC server from an SDK's own protos.json, with tokens, faults and a record of all calls. */
import {
  type handleUnaryCall,
  type Metadata,
  Server,
  ServerCredentials,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { fromJSON, type PackageDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import type { Faults } from './faults.ts';
import type { Caller, Identity } from './identity.ts';
import { GoogleRefusal, toGrpc } from './status.ts';

/** Throws GoogleRefusal. The request has no proto3 defaults filled in: missing fields were not sent. */
export type Method = (request: object, caller: Caller) => object | Promise<object>;

/** One call, with request and reply as on the wire, decoded. */
export interface Exchange {
  /** `google.cloud.run.v2.Jobs/RunJob` */
  readonly call: string;
  readonly request: object;
  readonly reply?: object;
  readonly refusal?: GoogleRefusal;
  /** Without `authorization`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** In the form of `fromJSON`. */
type Protos = Parameters<typeof fromJSON>[0];

export class GrpcServer {
  readonly #server = new Server({ 'grpc.max_receive_message_length': 32 * 1024 * 1024 });
  readonly #definitions: PackageDefinition;
  readonly #identity: Identity;
  readonly #faults: Faults;
  readonly #onExchange: (exchange: Exchange) => void;

  constructor(protos: Protos, identity: Identity, faults: Faults, onExchange: (exchange: Exchange) => void) {
    // Enums by name, 64-bit integers as strings, Any unpacked: as in Google's JSON.
    this.#definitions = fromJSON(protos, { longs: String, enums: String, bytes: String, json: true });
    this.#identity = identity;
    this.#faults = faults;
    this.#onExchange = onExchange;
  }

  /** Methods that are not implemented answer UNIMPLEMENTED. */
  add(service: string, methods: Readonly<Record<string, Method>>): void {
    const definition = this.#service(service);
    const implementation: UntypedServiceImplementation = {};
    for (const [name, method] of Object.entries(methods)) {
      const described = definition[name];
      if (described === undefined) throw new TypeError(`${service} has no method ${name}`);
      const handler: handleUnaryCall<object, object> = (call, callback) => {
        const run = async (): Promise<void> => {
          const path = `${service}/${name}`;
          const seen = { call: path, request: call.request, metadata: readable(call.metadata) };
          try {
            const silence = await this.#before(path);
            if (silence === 'before') return;
            const caller = this.#identity.caller(call.metadata.get('authorization')[0]?.toString());
            const failure = this.#faults.failedOperation(path);
            const reply =
              failure === undefined
                ? await method(call.request, caller)
                : { done: true, error: { code: status[failure.code], message: failure.message } };
            const delayMs = this.#faults.delayMs(path);
            if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
            this.#onExchange({
              ...seen,
              reply: described.responseDeserialize(described.responseSerialize(reply)),
            });
            if (silence === undefined) callback(null, reply);
          } catch (error) {
            const refusal = error instanceof GoogleRefusal ? error : new GoogleRefusal('INTERNAL', String(error));
            this.#onExchange({ ...seen, refusal });
            callback(toGrpc(refusal));
          }
        };
        void run();
      };
      implementation[name] = handler;
    }
    this.#server.addService(definition, implementation);
  }

  listen(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`${host}:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
  }

  /** Also ends calls that the silence fault has left open. */
  close(): void {
    this.#server.forceShutdown();
  }

  async #before(path: string): Promise<'before' | 'after' | undefined> {
    const { latencyMs } = this.#faults.settings;
    if (latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, latencyMs));
    const refusal = this.#faults.refusal(path);
    if (refusal !== undefined) throw refusal;
    return this.#faults.silence(path);
  }

  #service(name: string): ServiceDefinition {
    const definition = this.#definitions[name];
    if (definition === undefined || isType(definition)) throw new TypeError(`${name} is not a service of these protos`);
    return definition;
  }
}

function isType(
  definition: PackageDefinition[string],
): definition is Exclude<PackageDefinition[string], ServiceDefinition> {
  return typeof definition['format'] === 'string';
}

function readable(metadata: Metadata): Record<string, string> {
  const { authorization: _authorization, ...rest } = metadata.getMap();
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, value.toString()]));
}
