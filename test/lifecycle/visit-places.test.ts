import { expect } from 'chai';
import type { Tenant } from '../../dispatcher/lifecycle/ports.ts';
import { VisitPlaces } from '../../dispatcher/lifecycle/visit-places.ts';
import { clientOf } from '../github/github-fixture.ts';
import { grantOf, registration } from '../registration-fixture.ts';

describe('the places of visits', () => {
  const { github } = clientOf('http://127.0.0.1:9');
  const provider = () => Promise.reject(new Error('no backend is asked'));
  const tenants = new Map<string, Tenant>(
    [
      ['one', 'acme'],
      ['two', 'acme'],
      ['three', 'emca'],
    ].map(([name = '', tenant = '']) => [
      name,
      { registration: registration({ name, grant: grantOf(tenant) }), github, provider },
    ]),
  );
  let places: VisitPlaces;
  beforeEach(() => {
    places = new VisitPlaces(tenants);
  });

  const at = (name: string, backend: string | null) => ({ registration: name, backend });
  const take = (count: number, name: string, backend: string | null) => {
    for (let index = 0; index < count; index += 1) places.take(at(name, backend));
  };

  it('are sixteen for each registration at each backend', () => {
    take(15, 'one', 'main');
    expect(places.hasRoom(at('one', 'main'))).to.equal(true);
    expect(places.full()).to.deep.equal({ registrations: [], places: [] });
    take(1, 'one', 'main');
    expect(places.hasRoom(at('one', 'main'))).to.equal(false);
    expect(places.full().places).to.deep.equal([{ registration: 'one', backend: 'main', count: 16 }]);
    expect(places.full().registrations).to.deep.equal([]);
    expect(places.hasRoom(at('one', 'other'))).to.equal(true);
    expect(places.hasRoom(at('two', 'main'))).to.equal(true);
    expect(places.hasRoom(at('one', null)), 'a runner without a backend').to.equal(true);
    places.release(at('one', 'main'));
    expect(places.hasRoom(at('one', 'main'))).to.equal(true);
    expect(places.full().places).to.deep.equal([]);
  });

  it('are sixty-four for each tenant, all its registrations together', () => {
    for (const backend of ['a', 'b']) for (const name of ['one', 'two']) take(15, name, backend);
    take(3, 'one', null);
    expect(places.hasRoom(at('two', 'c'))).to.equal(true);
    expect(places.full().registrations).to.deep.equal([]);
    take(1, 'one', null);
    expect(places.hasRoom(at('two', 'c'))).to.equal(false);
    expect(places.hasRoom(at('three', 'a'))).to.equal(true);
    expect(places.full()).to.deep.equal({ registrations: ['one', 'two'], places: [] });
    places.release(at('two', 'a'));
    expect(places.hasRoom(at('two', 'c'))).to.equal(true);
  });
});
