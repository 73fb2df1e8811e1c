/** What dispatcher.yaml says about its admin listener, for the commands that ask a running dispatcher. */
import { dirname, resolve } from 'node:path';
import type { Problem } from '../model/problem.ts';
import type { DispatcherConfig } from '../model/registration.ts';
import { readAdminToken, readListen } from './dispatcher.ts';
import { readYaml } from './document.ts';
import { errorCode, type Files, fileProblem } from './files.ts';
import { DISPATCHER_BOUNDS, wholeFile } from './load.ts';
import { Reading } from './reading.ts';
import { References } from './reference.ts';

export interface AdminAccess {
  /** Undefined if the file says it wrongly. */
  readonly listen: DispatcherConfig['adminListen'] | undefined;
  readonly token: DispatcherConfig['adminToken'] | undefined;
  /** Why one of them is undefined. */
  readonly problem: Problem | undefined;
}

/** Resolves the token's reference as `shr serve` does. Undefined without such a file. */
export async function readAdminAccess({
  dispatcherFile,
  environment,
  files,
}: {
  readonly dispatcherFile: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly files: Files;
}): Promise<AdminAccess | undefined> {
  let text: string;
  try {
    ({ text } = await files.read(dispatcherFile, { mostBytes: DISPATCHER_BOUNDS.bytes }));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    const { message, cure } = fileProblem(error);
    return { listen: undefined, token: undefined, problem: wholeFile(dispatcherFile, message, cure) };
  }
  const { value, ...yaml } = readYaml(dispatcherFile, text, DISPATCHER_BOUNDS.bytes);
  const reading = await Reading.start(
    // No other secret is needed, or read.
    { ...yaml, value: { listen: entryOf(value, 'listen'), adminToken: entryOf(value, 'adminToken') } },
    { kind: 'platform' },
    new References({ environment, files, folder: dirname(resolve(dispatcherFile)) }),
    'required',
    DISPATCHER_BOUNDS,
  );
  const token = readAdminToken(reading);
  const { adminListen } = readListen(reading, dirname(resolve(dispatcherFile)));
  const isWrong = (key: string) => !reading.readable || reading.isWrong(key);
  return {
    listen: isWrong('listen') ? undefined : adminListen,
    token: isWrong('adminToken') ? undefined : token,
    problem: reading.problems[0],
  };
}

function entryOf(value: unknown, key: string): unknown {
  return new Map(Object.entries(typeof value === 'object' && value !== null ? value : {})).get(key);
}
