import { join } from 'node:path';
import type { DemoBackend } from './backend.ts';

const RUNNER = join(import.meta.dirname, '..', '..', '..', 'simulators', 'github', 'runner.mjs');

export function processBackend(folder: string): DemoBackend {
  return {
    kind: 'process',
    options: { command: [process.execPath, RUNNER], root: join(folder, 'instances') },
    image: 'demo/runner:latest',
    runnerUrl: (port) => `http://127.0.0.1:${port}`,
    open: async () => {},
    close: async () => {},
  };
}
