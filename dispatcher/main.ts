/** The service: what it starts, in which order, and how it stops. What it is made of is in wiring.ts. */
import { refuseUnsafeBackends } from './backends/unsafe-process.ts';
import { ENOUGH_OPEN_FILES, logFewOpenFiles } from './http/open-files.ts';
import type { LastGoodVersions } from './live/last-good.ts';
import type { Configuration, DispatcherConfig } from './model/registration.ts';
import { logKept, logSetAside } from './observability/configuration-log.ts';
import { type DispatcherOptions, type Parts, wire } from './wiring.ts';

export interface Dispatcher {
  /** Where it listens; port 0 in the configuration takes a free one. */
  readonly publicPort: number;
  readonly adminPort: number;
  /** Runners that are not gone, and what was not listed yet, a line for each registration. For a drain: empty at its end. */
  left(): Promise<readonly string[]>;
  /** What registrations said last without a problem. */
  readonly versions: LastGoodVersions;
  /** Takes effect at once, and touches nothing that runs. */
  reconfigure(configuration: Configuration): void;
  /** Takes no more work, finishes or hands back what is in flight, and closes the ledger, within the stop timeout. */
  stop(): Promise<void>;
}

/** Rejects with an error that says what to do: a LedgerError, a system error of `listen`, a refused configuration. */
export async function startDispatcher(options: DispatcherOptions): Promise<Dispatcher> {
  const { configuration, log, openFiles = ENOUGH_OPEN_FILES } = options;
  refuseUnsafeBackends(configuration);
  logSetAside(configuration, log);
  logKept(configuration.kept ?? [], log);
  logFewOpenFiles(openFiles, log);
  const parts = await wire({ ...options, openFiles });
  const service = new Service(parts, configuration.dispatcher);
  const ports = await service.start();
  const { publicListen, adminListen, id } = configuration.dispatcher;
  log.info('started', {
    public: addressOf(publicListen.host, ports.publicPort),
    admin: addressOf(adminListen.host, ports.adminPort),
    ...ports,
    registrations: configuration.registrations.length,
    setAside: configuration.quarantined.length,
    dispatcher: id,
  });
  return {
    ...ports,
    left: () => parts.left(),
    versions: parts.versionsOfRegistrations,
    reconfigure: (next) => parts.reconfigure(next),
    stop: async () => {
      log.info('stopping', { withinMs: configuration.dispatcher.shutdownMs });
      await service.stop();
      log.info('stopped');
    },
  };
}

/** As `listen` in dispatcher.yaml. */
function addressOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The share of the stop timeout for the listeners and the ledger; the launches in flight get the rest. */
const CLOSING_MS = 2_000;

type StartedParts = Omit<Parts, 'left' | 'reconfigure' | 'versionsOfRegistrations'>;
type ServiceSettings = Pick<DispatcherConfig, 'adminListen' | 'publicListen' | 'shutdownMs'>;

export class Service {
  readonly #parts: StartedParts;
  readonly #settings: ServiceSettings;

  constructor(parts: StartedParts, settings: ServiceSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Closes everything again before it rejects. */
  async start(): Promise<Pick<Dispatcher, 'publicPort' | 'adminPort'>> {
    try {
      return await this.#start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #start(): Promise<Pick<Dispatcher, 'publicPort' | 'adminPort'>> {
    const { address, adminListener, catchUp, engine, gapWatch } = this.#parts;
    const { housekeeping, poller, publicListener } = this.#parts;
    const { adminListen, publicListen } = this.#settings;
    // First: it shows what the others do, and how ready they are.
    const adminPort = await adminListener.listen(adminListen.host, adminListen.port);
    // Before deliveries come in: it takes up what an earlier process left.
    await engine.start();
    const publicPort = await publicListener.listen(publicListen.host, publicListen.port);
    poller.start();
    housekeeping.start();
    catchUp.all('start');
    gapWatch.start();
    this.#parts.redelivery.start();
    this.#parts.versions.start();
    this.#parts.organizations.start();
    address?.start();
    adminListener.prepare();
    return { publicPort, adminPort };
  }

  /** Every part may be stopped whether or not it was started. */
  async stop(): Promise<void> {
    const { address, adminListener, backends, catchUp, departures, engine, gapWatch } = this.#parts;
    const { housekeeping, ledger, organizations, poller, publicListener, redelivery, shedding, versions } = this.#parts;
    gapWatch.stop();
    departures.stop();
    organizations.stop();
    address?.stop();
    // Nothing new comes in.
    await Promise.all([
      publicListener.close(CLOSING_MS),
      catchUp.stop(),
      poller.stop(),
      redelivery.stop(),
      housekeeping.stop(),
      versions.stop(),
    ]);
    shedding.close();
    // What is in flight is finished, and what is not is left to the next start.
    await engine.stop(Math.max(0, this.#settings.shutdownMs - 2 * CLOSING_MS));
    // Until here people can watch; and only now does nothing use the backends and the ledger.
    await adminListener.close(CLOSING_MS);
    await backends.close();
    await ledger.close();
  }
}
