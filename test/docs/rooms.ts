#!/usr/bin/env node
/**
 * The picture of ARCHITECTURE.md, made from the imports: which rooms there are, and on which floor each stands. A room is a
 * folder of dispatcher/, providers/ or deployers/, or a file that stands alone there. `npm run architecture` writes it anew.
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
export const PAGE = join(ROOT, 'ARCHITECTURE.md');
const BEGIN = '<!-- picture: npm run architecture -->';
const END = '<!-- end of the picture -->';

/** By room: the rooms that it imports. */
export function importsOfRooms(): ReadonlyMap<string, ReadonlySet<string>> {
  const rooms = new Map<string, Set<string>>();
  for (const file of globSync('{time,dispatcher,providers,deployers,simulators}/**/*.ts', { cwd: ROOT }).sort()) {
    const room = roomOf(file);
    const imports = rooms.get(room) ?? new Set<string>();
    rooms.set(room, imports);
    const source = readFileSync(join(ROOT, file), 'utf8');
    for (const [, fixed, lazy] of source.matchAll(/ from '(\.[^']+)'|import\('(\.[^']+)'\)/g)) {
      const target = normalize(join(dirname(file), fixed ?? lazy ?? ''));
      if (/^(time|dispatcher|providers|deployers|simulators)\//.test(target) && roomOf(target) !== room)
        imports.add(roomOf(target));
    }
  }
  return rooms;
}

function roomOf(file: string): string {
  const [top = '', second = ''] = file.split('/');
  if (top === 'time' || top === 'simulators') return `${top}/`;
  if (second.endsWith('.ts')) return `${top}/${second}`;
  if (top === 'deployers') return 'deployers/<kind>/';
  // The adapters stand side by side.
  if (top === 'providers')
    return ['kit', 'registry', 'google'].includes(second) ? `${top}/${second}/` : 'providers/<kind>/';
  return `${top}/${second}/`;
}

/** From the ground up; throws where rooms import each other in a circle. */
export function floorsOf(rooms: ReadonlyMap<string, ReadonlySet<string>>): readonly (readonly string[])[] {
  const floors: string[][] = [];
  const left = new Set(rooms.keys());
  while (left.size > 0) {
    const floor = [...left].filter((room) => [...(rooms.get(room) ?? [])].every((other) => !left.has(other))).sort();
    if (floor.length === 0) throw new Error(`these rooms import each other in a circle: ${[...left].join(', ')}`);
    for (const room of floor) left.delete(room);
    floors.push(floor);
  }
  return floors;
}

export function picture(): string {
  const floors = floorsOf(importsOfRooms());
  const lines = floors.map((rooms, index) => `${String(index + 1).padStart(2)}  ${rooms.join('  ')}`).reverse();
  return ['```', ...lines, '```'].join('\n');
}

/** What the page has between its marks, and the whole page with `text` there. */
export function pageWith(text: string): { readonly present: string; readonly page: string } {
  const page = readFileSync(PAGE, 'utf8');
  const from = page.indexOf(BEGIN) + BEGIN.length;
  const to = page.indexOf(END);
  return { present: page.slice(from, to).trim(), page: `${page.slice(0, from)}\n${text}\n${page.slice(to)}` };
}

if (process.argv[1] === import.meta.filename) {
  const { page, present } = pageWith(picture());
  if (present === picture()) console.log('ARCHITECTURE.md is up to date');
  else {
    writeFileSync(PAGE, page);
    console.log('ARCHITECTURE.md was written');
  }
}
