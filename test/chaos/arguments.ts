/** What `npm run chaos` was asked for. */
import { parseArgs } from 'node:util';
import type { Experiment } from './experiment.ts';

export type Experiments = Readonly<Record<string, Experiment>>;

export type Asked =
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly reason: string }
  | { readonly kind: 'run'; readonly planned: readonly Planned[] };

export interface Planned {
  readonly name: string;
  readonly experiment: Experiment;
  readonly sizes: Readonly<Record<string, number>>;
}

export function readArguments(args: readonly string[], experiments: Experiments): Asked {
  const options: Record<string, { type: 'string' } | { type: 'boolean' }> = {
    only: { type: 'string' },
    help: { type: 'boolean' },
  };
  for (const [name, { sizes }] of Object.entries(experiments)) {
    for (const size of Object.keys(sizes)) options[`${name}-${size}`] = { type: 'string' };
  }
  let values: Readonly<Record<string, unknown>>;
  try {
    values = parseArgs({ args: [...args], options }).values;
  } catch (error) {
    return { kind: 'wrong', reason: error instanceof Error ? error.message : String(error) };
  }
  if (values['help'] === true) return { kind: 'help' };
  const only = typeof values['only'] === 'string' ? values['only'].split(',') : Object.keys(experiments);
  const planned: Planned[] = [];
  for (const name of only) {
    const experiment = Object.hasOwn(experiments, name) ? experiments[name] : undefined;
    if (experiment === undefined) {
      const known = Object.keys(experiments).join(', ');
      return { kind: 'wrong', reason: `There is no experiment "${name}". There are: ${known}.` };
    }
    const sizes: Record<string, number> = {};
    for (const [size, { default: usual, least }] of Object.entries(experiment.sizes)) {
      const option = `${name}-${size}`;
      const text = values[option];
      if (typeof text === 'string' && (!/^\d{1,7}$/.test(text) || Number(text) < least)) {
        return { kind: 'wrong', reason: `--${option} takes a whole number from ${least}, not "${text}".` };
      }
      sizes[size] = typeof text === 'string' ? Number(text) : usual;
    }
    planned.push({ name, experiment, sizes });
  }
  return { kind: 'run', planned };
}

export function helpText(experiments: Experiments): string {
  const lines = [
    'Real `shr serve` processes beside a simulated GitHub, and what goes wrong around them. One experiment after the other.',
    '',
    '  npm run chaos                        all of them, with the numbers of the figures: about 35 minutes',
    '  npm run chaos -- --only NAME,NAME    only these',
    '  npm run chaos -- --help',
    '',
  ];
  for (const [name, { title, sizes }] of Object.entries(experiments)) {
    lines.push(`  ${name.padEnd(15)} ${title}`);
    for (const [size, { default: usual, what }] of Object.entries(sizes)) {
      lines.push(`      ${`--${name}-${size} N`.padEnd(32)} ${what} (default ${usual})`);
    }
  }
  lines.push(
    '',
    'One line for each experiment. Exit code 0: every figure was reached. 1: one was not. 2: not understood.',
  );
  return lines.join('\n');
}
