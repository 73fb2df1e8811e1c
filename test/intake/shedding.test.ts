import { expect } from 'chai';
import type { WebhookSource } from '../../dispatcher/intake/endpoints.ts';
import { Shedding } from '../../dispatcher/intake/shedding.ts';
import { VirtualClock } from '../github/virtual-clock.ts';
import { LogLines } from './intake-fixture.ts';

function source(endpoint: string): WebhookSource {
  return { endpoint, host: 'github.com', registration: null, mayReport: () => true };
}

describe('the conditions under which requests are turned away', () => {
  function world() {
    const log = new LogLines();
    const shedding = new Shedding(new VirtualClock(1_000_000), log);
    const names = () => shedding.current().map(({ name, count }) => `${name} ${count}`);
    return { log, shedding, names };
  }

  it('name the endpoint that has reached its limit', () => {
    const { names, shedding } = world();
    const lost = { cause: 'rate' as const, verified: true, from: '192.0.2.1' };
    shedding.lost({ ...lost, sources: [source('registration/acme')] });
    shedding.lost({ ...lost, sources: [source('registration/globex')] });
    shedding.lost({ ...lost, sources: [source('registration/acme')] });
    expect(names()).to.deep.equal(['rate registration/acme 2', 'rate registration/globex 1']);
  });

  it('are one condition where any of several endpoints may have sent it', () => {
    const { names, shedding } = world();
    const sources = [source('github.com/webhook'), source('ghes.example/webhook')];
    shedding.lost({ cause: 'rate', verified: false, from: '192.0.2.1', sources });
    expect(names()).to.deep.equal(['rate 1']);
  });

  it('are called by their cause otherwise, and log one line each as they begin', () => {
    const { log, names, shedding } = world();
    const lost = { verified: true, from: '192.0.2.1', sources: [source('registration/acme')] };
    shedding.lost({ ...lost, cause: 'ledger' });
    shedding.lost({ ...lost, cause: 'ledger' });
    shedding.yielded('192.0.2.2');
    expect(names()).to.deep.equal(['ledger 2', 'connections 1']);
    expect(log.lines.map(({ event }) => event)).to.deep.equal(['intake.shedding', 'intake.shedding']);
    shedding.close();
    expect(names()).to.deep.equal([]);
  });

  it('keep redelivery waiting where signed deliveries cause them alone', () => {
    const { shedding } = world();
    const lost = { verified: false, from: '192.0.2.1', sources: [source('registration/acme')] };
    shedding.lost({ ...lost, cause: 'memory' });
    shedding.lost({ ...lost, cause: 'slow' });
    shedding.yielded('192.0.2.1');
    expect(shedding.turnsAway('registration/acme')).to.equal(false);
    shedding.lost({ ...lost, cause: 'rate' });
    expect(['registration/acme', 'registration/globex'].map((endpoint) => shedding.turnsAway(endpoint))).to.deep.equal([
      true,
      false,
    ]);
    shedding.lost({ ...lost, cause: 'queue' });
    expect(shedding.turnsAway('registration/globex')).to.equal(true);
  });
});
