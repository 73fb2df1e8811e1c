/** What to do where an engine cannot be asked. Pure. */
import type { Finding, ProviderError } from '../provider.ts';
import type { EnginePlace } from './place.ts';

export function unreachable(error: ProviderError, asked: EnginePlace): Finding {
  if (!asked.found) return { subject: 'engine', ok: false, message: asked.problem, cure: asked.cure };
  const place = asked.words;
  if (error.code === 'EACCES') {
    return {
      subject: 'permissions',
      ok: false,
      message: error.message,
      cure: `let this user use ${place}: add it to the group docker, and log in again`,
    };
  }
  if (error.kind === 'unauthorized') {
    return {
      subject: 'credentials',
      ok: false,
      message: error.message,
      cure: `check ca, cert and key against the engine at ${place}`,
    };
  }
  return {
    subject: 'engine',
    ok: false,
    message: error.message,
    cure: `start the engine, and check that it listens on ${place} (docker info)`,
  };
}
