import { expect } from 'chai';
import { z } from 'zod';
import { salvage } from '../../dispatcher/config/salvage.ts';

function salvaged<T>(value: unknown, schema: z.ZodType<T>) {
  const { data, issues, kept } = salvage(value, schema);
  return { data, issues: issues.map(({ path, code }) => `${path.join('.')}: ${code}`), kept: Object.fromEntries(kept) };
}

describe('what is left of a file with mistakes', () => {
  const person = z.strictObject({ name: z.string(), age: z.number().optional() });
  const people = z.strictObject({ people: z.array(person).max(3), title: z.string().optional() });

  it('is the whole file when there are none', () => {
    const value = { people: [{ name: 'a' }] };
    expect(salvaged(value, people)).to.deep.equal({ data: value, issues: [], kept: {} });
  });

  it('lacks the wrong value, the unknown key, and what misses a key that it needs', () => {
    const value = { people: [{ name: 'a', age: 'old' }, { age: 3 }, { name: 'c', aeg: 4 }], title: 7 };
    expect(salvaged(value, people)).to.deep.equal({
      data: { people: [{ name: 'a' }, { name: 'c' }] },
      issues: [
        'people.0.age: invalid_type',
        'people.1.name: invalid_type',
        'people.2: unrecognized_keys',
        'title: invalid_type',
      ],
      kept: { '["people"]': [0, 2] },
    });
  });

  it('names a mistake that shows only once others are out by its place in the file as it was written', () => {
    const named = person.refine(({ name }) => name !== 'nobody', { path: ['name'], error: 'nobody' });
    const value = { people: [7, { name: 'nobody', age: 'old' }] };
    expect(salvaged(value, z.strictObject({ people: z.array(named) }))).to.deep.equal({
      data: { people: [] },
      issues: ['people.0: invalid_type', 'people.1.age: invalid_type', 'people.1.name: custom'],
      kept: { '["people"]': [] },
    });
  });

  it('has as many entries of a list as it may', () => {
    const four = ['a', 'b', 'c', 'd'].map((name) => ({ name }));
    expect(salvaged({ people: four }, people)).to.deep.equal({
      data: { people: four.slice(0, 3) },
      issues: ['people: too_big'],
      kept: { '["people"]': [0, 1, 2] },
    });
  });

  it('loses the smallest optional part that holds the mistake, which is reported once', () => {
    const deep = z.strictObject({
      a: z.strictObject({ b: z.strictObject({ c: z.strictObject({ d: z.string() }) }) }).optional(),
      e: z.string(),
    });
    expect(salvaged({ a: { b: { c: {} } }, e: 'kept' }, deep)).to.deep.equal({
      data: { e: 'kept' },
      issues: ['a.b.c.d: invalid_type'],
      kept: {},
    });
  });

  it('is undefined when the whole is wrong, or lacks what it needs', () => {
    expect(salvaged({}, people).data).to.equal(undefined);
    expect(salvaged([], people).data).to.equal(undefined);
    expect(salvaged('text', people)).to.deep.equal({ data: undefined, issues: [': invalid_type'], kept: {} });
  });

  it('takes a key with a dot in it for one key', () => {
    const shapes = z.record(z.string(), z.strictObject({ cpu: z.number().optional() }));
    const value = { 'a.cpu': { cpu: 'many' }, a: { cpu: 2 } };
    expect(salvaged(value, shapes).data).to.deep.equal({ 'a.cpu': {}, a: { cpu: 2 } });
  });
});
