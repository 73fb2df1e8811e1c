import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { floorsOf, importsOfRooms, PAGE, pageWith, picture } from './rooms.ts';

describe('ARCHITECTURE.md', () => {
  const page = readFileSync(PAGE, 'utf8');

  it('has the picture that the imports give: run `npm run architecture` where they changed', () => {
    expect(pageWith(picture()).present).to.equal(picture());
  });

  it('says of each room what it is', () => {
    for (const room of importsOfRooms().keys())
      expect(page, room).to.match(new RegExp(`^\\| \`${escaped(room)}\``, 'm'));
  });

  it('names files that exist', () => {
    const root = join(PAGE, '..');
    for (const [, path = ''] of page.matchAll(/`((?:time|dispatcher|providers|simulators|test|docs)\/[\w./-]+)`/g)) {
      expect(existsSync(join(root, path)), path).to.equal(true);
    }
  });

  it('cannot be drawn where rooms import each other in a circle', () => {
    const rooms = new Map([
      ['one/', new Set(['two/'])],
      ['two/', new Set(['one/'])],
    ]);
    expect(() => floorsOf(rooms)).to.throw('in a circle');
  });
});

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
