#!/usr/bin/env node
/** `npm run chaos`: each experiment's figures, and whether they are those to reach. */
import { helpText, readArguments } from './arguments.ts';
import { inWords, isReached } from './experiment.ts';
import { experiments } from './experiments.ts';

async function main(): Promise<number> {
  const asked = readArguments(process.argv.slice(2), experiments);
  if (asked.kind === 'help') {
    console.log(helpText(experiments));
    return 0;
  }
  if (asked.kind === 'wrong') {
    console.error(`${asked.reason}\nnpm run chaos -- --help says what there is.`);
    return 2;
  }
  let code = 0;
  for (const { name, experiment, sizes } of asked.planned) {
    console.error(`${name}: ${experiment.title} ${JSON.stringify(sizes)}`);
    try {
      const figures = await experiment.run(sizes, (line) => console.error(`  ${line}`));
      console.log(inWords(name, figures));
      if (!figures.every(isReached)) code = 1;
    } catch (error) {
      console.log(`BROKEN  ${name.padEnd(13)} ${error instanceof Error ? error.message : String(error)}`);
      code = 1;
    }
  }
  return code;
}

process.exitCode = await main();
