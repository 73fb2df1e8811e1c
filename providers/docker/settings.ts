import type { DockerOptions } from './options.ts';
import type { EnginePlace } from './place.ts';

/** The options, with what was learned about the engine when the provider was made. */
export interface DockerSettings extends DockerOptions {
  readonly architecture: 'x64' | 'arm64';
  readonly place: EnginePlace;
}
