import { expect } from 'chai';
import { LaunchPlaces } from '../../dispatcher/lifecycle/launch-places.ts';
import type { Tenant } from '../../dispatcher/lifecycle/ports.ts';
import { clientOf } from '../github/github-fixture.ts';
import { grantOf, registration } from '../registration-fixture.ts';
import { manualClock } from './manual-clock.ts';

const SECOND = 1000;

function tenantsOf(names: readonly (readonly [name: string, tenant: string])[]): ReadonlyMap<string, Tenant> {
  const { github } = clientOf('http://127.0.0.1:9');
  const provider = () => Promise.reject(new Error('no backend is asked'));
  return new Map(
    names.map(([name, tenant]) => [
      name,
      { registration: registration({ name, grant: grantOf(tenant) }), github, provider },
    ]),
  );
}

describe('the places of launches', () => {
  const tenants = tenantsOf([
    ['one', 'acme'],
    ['two', 'acme'],
    ['three', 'emca'],
  ]);

  function open(most: number) {
    const clock = manualClock();
    return { clock, places: new LaunchPlaces(tenants, most, () => clock.now()) };
  }

  it('are free again when a launch has ended', () => {
    const { places } = open(2);
    places.take('r1', 'one');
    places.take('r2', 'one');
    expect(places.free()).to.equal(0);
    places.release('r1');
    expect(places.free()).to.equal(1);
  });

  it('are given to others after five seconds, and count for their own tenant until the launch ends', () => {
    const { clock, places } = open(2);
    places.take('r1', 'one');
    clock.move(SECOND);
    places.take('r2', 'two');
    const startMs = clock.now();
    expect(places.nextFreeMs()).to.equal(startMs + 4 * SECOND);
    clock.move(4 * SECOND - 1);
    expect(places.free()).to.equal(0);
    clock.move(1);
    expect(places.free()).to.equal(1);
    expect(places.nextFreeMs(), 'there is one').to.equal(undefined);
    expect(places.freeOf(places.lineOf('one'))).to.equal(0);
    expect(places.freeOf(places.lineOf('three'))).to.equal(2);
  });

  it('are never fewer than none, where slow launches have made room for others', () => {
    const { clock, places } = open(1);
    places.take('r1', 'one');
    clock.move(5 * SECOND);
    places.take('r2', 'three');
    places.take('r3', 'three');
    expect(places.free()).to.equal(0);
    expect(places.nextFreeMs()).to.equal(clock.now() + 5 * SECOND);
  });

  it('wait for no time where there is none to wait for', () => {
    const { places } = open(0);
    expect(places.nextFreeMs()).to.equal(undefined);
  });

  it('are those of the tenant that all its registrations share, and of a registration that is gone by its name', () => {
    const { places } = open(1);
    expect(places.lineOf('one')).to.equal(places.lineOf('two'));
    expect(places.lineOf('gone')).to.equal('registration gone');
  });
});
