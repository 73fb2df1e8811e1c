import { expect } from 'chai';
import { Service } from '../dispatcher/main.ts';
import type { Parts } from '../dispatcher/wiring.ts';

const settings = {
  adminListen: { host: '127.0.0.1', port: 9_091 },
  publicListen: { host: '0.0.0.0', port: 8_080 },
  shutdownMs: 25_000,
};

/** Parts that only write down what is asked of them; `failing` names the step that rejects. */
function recordingParts(failing?: string): {
  readonly parts: Omit<Parts, 'left' | 'reconfigure' | 'versionsOfRegistrations'>;
  readonly steps: string[];
} {
  const steps: string[] = [];
  const step = (name: string) => {
    steps.push(name);
    if (name === failing) throw new Error(`${name} failed`);
  };
  const later = async (name: string) => {
    step(`${name} …`);
    await new Promise(setImmediate);
    step(name);
  };
  const listener = (name: string) => ({
    listen: async (host: string, port: number) => {
      await later(`${name} listens on ${host}:${port}`);
      return port;
    },
    prepare: () => step(`${name} is prepared`),
    close: (withinMs: number) => later(`${name} closes within ${withinMs}`),
  });
  const parts: Omit<Parts, 'left' | 'reconfigure' | 'versionsOfRegistrations'> = {
    ledger: { close: () => later('ledger closes') },
    backends: { close: () => later('backends close') },
    engine: {
      start: () => later('engine starts'),
      stop: (withinMs) => later(`engine stops within ${withinMs}`),
    },
    poller: { start: () => step('poller starts'), stop: () => later('poller stops') },
    catchUp: { all: (reason) => step(`catch-up of all: ${reason}`), stop: () => later('catch-up stops') },
    departures: { stop: () => step('departures stop') },
    gapWatch: { start: () => step('gap watch starts'), stop: () => step('gap watch stops') },
    redelivery: { start: () => step('redelivery starts'), stop: () => later('redelivery stops') },
    shedding: { close: () => step('shedding closes') },
    housekeeping: { start: () => step('housekeeping starts'), stop: () => later('housekeeping stops') },
    address: { start: () => step('address starts'), stop: () => step('address stops') },
    versions: { start: () => step('versions start'), stop: () => later('versions stop') },
    organizations: { start: () => step('organizations start'), stop: () => step('organizations stop') },
    publicListener: listener('public'),
    adminListener: listener('admin'),
  };
  return { parts, steps };
}

const STOP = [
  'gap watch stops',
  'departures stop',
  'organizations stop',
  'address stops',
  'public closes within 2000 …',
  'catch-up stops …',
  'poller stops …',
  'redelivery stops …',
  'housekeeping stops …',
  'versions stop …',
  'public closes within 2000',
  'catch-up stops',
  'poller stops',
  'redelivery stops',
  'housekeeping stops',
  'versions stop',
  'shedding closes',
  'engine stops within 21000 …',
  'engine stops within 21000',
  'admin closes within 2000 …',
  'admin closes within 2000',
  'backends close …',
  'backends close',
  'ledger closes …',
  'ledger closes',
];

describe('the service', () => {
  it('starts to be watched, then takes up what was left, then takes new work', async () => {
    const { parts, steps } = recordingParts();
    const ports = await new Service(parts, settings).start();
    expect(ports).to.deep.equal({ adminPort: 9_091, publicPort: 8_080 });
    expect(steps).to.deep.equal([
      'admin listens on 127.0.0.1:9091 …',
      'admin listens on 127.0.0.1:9091',
      'engine starts …',
      'engine starts',
      'public listens on 0.0.0.0:8080 …',
      'public listens on 0.0.0.0:8080',
      'poller starts',
      'housekeeping starts',
      'catch-up of all: start',
      'gap watch starts',
      'redelivery starts',
      'versions start',
      'organizations start',
      'address starts',
      'admin is prepared',
    ]);
  });

  it('stops taking work, then ends what is in flight, and closes the ledger last', async () => {
    const { parts, steps } = recordingParts();
    await new Service(parts, settings).stop();
    expect(steps).to.deep.equal(STOP);
  });

  it('gives launches no time where the stop timeout is used up by closing', async () => {
    const { parts, steps } = recordingParts();
    await new Service(parts, { ...settings, shutdownMs: 3_000 }).stop();
    expect(steps).to.include('engine stops within 0');
  });

  for (const failing of [
    'admin listens on 127.0.0.1:9091',
    'engine starts',
    'public listens on 0.0.0.0:8080',
    'housekeeping starts',
  ]) {
    it(`closes everything again where its start fails: ${failing}`, async () => {
      const { parts, steps } = recordingParts(failing);
      const failure = await new Service(parts, settings).start().catch((error: unknown) => error);
      expect(failure).to.have.property('message', `${failing} failed`);
      expect(steps.slice(steps.indexOf(failing) + 1)).to.deep.equal(STOP);
    });
  }
});
