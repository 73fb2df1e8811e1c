/** The demo of a cloud: its simulator, whose containers are processes on this machine. */
import type { DemoBackend, DemoStage } from '../provider.ts';

/** Resolves when the simulator listens. `close` ends it and every process that it started. */
export async function simulatedDemo(stage: DemoStage): Promise<DemoBackend> {
  const { options, image, close } = await stage.simulate();
  return {
    options,
    image,
    // The processes share the machine's loopback.
    runnerUrl: (port) => `http://127.0.0.1:${port}`,
    open: async () => {},
    close,
  };
}
