#!/usr/bin/env node
/** The command-line entry point: the real process around `runCommandLine`. */
import program from '../../package.json' with { type: 'json' };
import { askAtTerminal } from './ask.ts';
import { standardInput } from './input.ts';
import { runCommandLine } from './run.ts';
import { useProxy } from './use-proxy.ts';

// A reader that has seen enough (`shr jobs | head`) closes the pipe: not worth a stack trace.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

// Before the first SDK is loaded: some read the variables at that time.
const proxy = useProxy(process.env);

try {
  process.exitCode = await runCommandLine(
    process.argv.slice(2),
    {
      out: (text) => process.stdout.write(text),
      error: (text) => process.stderr.write(text),
      environment: process.env,
      proxy,
      workingFolder: process.cwd(),
      width: process.stdout.isTTY ? process.stdout.columns : undefined,
      input: standardInput,
      ...(process.stdin.isTTY ? { ask: askAtTerminal } : {}),
    },
    program.version,
  );
} catch (error) {
  process.stderr.write(`shr: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
