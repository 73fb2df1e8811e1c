import { readdir, readFile } from 'node:fs/promises';
import { Ajv } from 'ajv';
import { expect } from 'chai';
import { parse } from 'yaml';
import { z } from 'zod';
import { systemFiles } from '../../dispatcher/config/files.ts';
import { loadConfiguration } from '../../dispatcher/config/load.ts';
import { dispatcherFile, jsonSchemaOf } from '../../dispatcher/config/schema.ts';
import { formatProblem } from '../../dispatcher/model/problem.ts';
import { loadProvider } from '../../providers/index.ts';

const root = new URL('../../', import.meta.url);
const at = (path: string): string => new URL(path, root).pathname;

/** To write them anew after a change of the schema: the command in registrations/README.md. */
describe('the JSON Schemas in registrations/', () => {
  for (const file of ['registration', 'dispatcher'] as const) {
    it(`are those of the program: ${file}.schema.json`, async () => {
      const stored: unknown = JSON.parse(await readFile(at(`registrations/${file}.schema.json`), 'utf8'));
      expect(stored).to.deep.equal(JSON.parse(JSON.stringify(jsonSchemaOf(file))));
    });
  }

  function validator(file: 'registration' | 'dispatcher') {
    return new Ajv({ strict: false }).compile(JSON.parse(JSON.stringify(jsonSchemaOf(file))));
  }

  it('accept the examples, and complain of a misspelt key', async () => {
    const validate = validator('registration');
    const examples = (await readdir(at('registrations'))).filter((name) => name.endsWith('.example.yaml'));
    expect(examples).to.have.length.of.at.least(3);
    for (const name of examples) {
      const example: unknown = parse(await readFile(at(`registrations/${name}`), 'utf8'));
      expect(validate(example), `${name}: ${JSON.stringify(validate.errors)}`).to.equal(true);
    }
    expect(validate({ organisation: 'acme' })).to.equal(false);
  });

  it('describe no key that dispatcher.example.yaml does not show', async () => {
    const shown: unknown = parse(uncommented(await readFile(at('dispatcher.example.yaml'), 'utf8')));
    // `shapes` is the older place of `presets.shapes`, where they are shown.
    const paths = keysOf(dispatcherFile).map((path) =>
      path[0] === 'shapes' && path.length > 1 ? ['presets', ...path] : path,
    );
    expect(paths.filter((path) => !holds(shown, path))).to.deep.equal([]);
  });

  it('accept dispatcher.example.yaml, also with every comment taken away', async () => {
    const validate = validator('dispatcher');
    const text = await readFile(at('dispatcher.example.yaml'), 'utf8');
    for (const example of [text, uncommented(text)]) {
      expect(validate(parse(example)), JSON.stringify(validate.errors)).to.equal(true);
    }
  });
});

/** Every key at any depth, as a path; `*` stands for any name or place in a list. */
function keysOf(schema: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (schema instanceof z.ZodArray) return keysOf(schema.element, [...path, '*']);
  if (schema instanceof z.ZodRecord) return keysOf(schema.valueType, [...path, '*']);
  if (schema instanceof z.ZodOptional) return keysOf(schema.unwrap(), path);
  if (!(schema instanceof z.ZodObject)) return [];
  return Object.entries(schema.shape).flatMap(([key, value]) => [[...path, key], ...keysOf(value, [...path, key])]);
}

function holds(value: unknown, [key, ...rest]: readonly string[]): boolean {
  if (key === undefined) return true;
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, inner]) => (key === '*' || key === name) && holds(inner, rest));
}

/** The settings that stand commented out: `# key: …`, `#   key: …` and `#   - …`, but no prose. */
function uncommented(text: string): string {
  return text.replaceAll(/^# (?!yaml-)( *(?:- )?[\w-]+:(?: .*)?| *- \S+)$/gm, '$1');
}

describe('the examples', () => {
  for (const name of ['organization', 'repositories', 'enterprise']) {
    it(`load as they are: ${name}.example.yaml`, async () => {
      const files = new Map([
        ['/c/dispatcher.yaml', await readFile(at('dispatcher.example.yaml'), 'utf8')],
        ['/c/registrations/acme.yaml', await readFile(at(`registrations/${name}.example.yaml`), 'utf8')],
      ]);
      const loaded = await loadConfiguration({
        dispatcherFile: '/c/dispatcher.yaml',
        registrationsFolder: '/c/registrations',
        environment: {},
        files: {
          read: async (path, bounds) => {
            const text = files.get(path);
            return text === undefined ? systemFiles.read(path, bounds) : { text, readableBy: 'owner' };
          },
          list: async () => ['acme.yaml'],
        },
        provider: loadProvider,
        secrets: 'optional',
      });
      expect(loaded.ok).to.equal(true);
      const problems = loaded.problems.map(formatProblem);
      expect(problems).to.deep.equal([]);
    });
  }

  it('load with everything in dispatcher.example.yaml switched on', async () => {
    const files = new Map([
      [
        '/c/dispatcher.yaml',
        // The other form of the listener, which a grant that demands the hook needs.
        uncommented(await readFile(at('dispatcher.example.yaml'), 'utf8')).replace(
          /public: 0\.0\.0\.0:8080.*/,
          'public: { url: "https://shr.acme.example" }',
        ),
      ],
      [
        '/c/registrations/acme.yaml',
        (await readFile(at('registrations/organization.example.yaml'), 'utf8'))
          .replace(/credentials:\n {2}token: .*\n/, 'credentials:\n  use: platform-app\n')
          .replace('name: docker\n    kind: docker', 'use: build-host')
          .replace('  cpu: 2\n', '  cpu: 2\n  timeLimit: 6h\n'),
      ],
    ]);
    const loaded = await loadConfiguration({
      dispatcherFile: '/c/dispatcher.yaml',
      registrationsFolder: '/c/registrations',
      environment: {},
      files: {
        read: async (path, bounds) => {
          const text = files.get(path);
          return text === undefined ? systemFiles.read(path, bounds) : { text, readableBy: 'owner' };
        },
        list: async () => ['acme.yaml'],
      },
      // The package of the example is not installed.
      provider: (kind, from) => loadProvider(from === undefined ? kind : 'docker'),
      secrets: 'optional',
    });
    expect(loaded.problems.map(formatProblem)).to.deep.equal([]);
    const webhook = loaded.ok && loaded.configuration.dispatcher.webhooks[0];
    expect(webhook).to.deep.include({ appId: '123456', owners: ['acme', 'acme-labs'] });
  });
});
