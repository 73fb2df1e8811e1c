/** The configuration in force: one value at a time, which parts read when they need it. */
import { strangersAmong } from '../admission/strangers.ts';
import type { AreStrangers } from '../jobs/facts.ts';
import type { Admit } from '../jobs/lane.ts';
import type { Configuration } from '../model/registration.ts';

/** What is made of a whole version, and used until the next. */
interface Version {
  readonly configuration: Configuration;
  readonly admit: Admit;
  readonly areStrangers: AreStrangers;
  readonly setAside: ReadonlySet<string>;
}

export class LiveConfiguration {
  readonly #admitBy: (configuration: Configuration) => Admit;
  #version: Version;
  #number = 1;

  constructor(configuration: Configuration, admitBy: (configuration: Configuration) => Admit) {
    this.#admitBy = admitBy;
    this.#version = this.#make(configuration);
  }

  get current(): Configuration {
    return this.#version.configuration;
  }

  /** Counts the versions since the start, from 1. */
  get number(): number {
    return this.#number;
  }

  /** In force from now on, in all its parts at once. */
  put(configuration: Configuration): void {
    this.#version = this.#make(configuration);
    this.#number += 1;
  }

  readonly admit: Admit = (job) => this.#version.admit(job);

  readonly areStrangers: AreStrangers = (one, other) => this.#version.areStrangers(one, other);

  isSetAside(registration: string): boolean {
    return this.#version.setAside.has(registration);
  }

  #make(configuration: Configuration): Version {
    return {
      configuration,
      admit: this.#admitBy(configuration),
      areStrangers: strangersAmong(configuration.registrations),
      setAside: new Set(configuration.quarantined.map(({ name }) => name)),
    };
  }
}
