/** Problems as a SARIF 2.1.0 log, for GitHub's code scanning and for editors. */

import { isAbsolute } from 'node:path';
import { pathToFileURL } from 'node:url';
import program from '../../../package.json' with { type: 'json' };
import type { Problem } from '../../model/problem.ts';
import { printable } from '../output.ts';

const RULES = {
  problem: {
    id: 'problem',
    name: 'ConfigurationProblem',
    shortDescription: { text: 'The configuration cannot be used as it is' },
    defaultConfiguration: { level: 'error' },
  },
  note: {
    id: 'note',
    name: 'ConfigurationNote',
    shortDescription: { text: 'Something to know about the configuration' },
    defaultConfiguration: { level: 'note' },
  },
} as const;

/** Paths are relative to the folder that `%SRCROOT%` stands for: the working folder. */
export function sarifLog(problems: readonly Problem[], notes: readonly Problem[]): unknown {
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'shr', semanticVersion: program.version, rules: Object.values(RULES) } },
        columnKind: 'utf16CodeUnits',
        results: [
          ...problems.map((problem) => result('problem', problem)),
          ...notes.map((note) => result('note', note)),
        ],
      },
    ],
  };
}

function result(rule: keyof typeof RULES, { file, line, column, path, message, cure }: Problem): unknown {
  return {
    ruleId: rule,
    ruleIndex: Object.keys(RULES).indexOf(rule),
    level: RULES[rule].defaultConfiguration.level,
    message: { text: printable(`${path === '' ? '' : `${path}: `}${message}. ${cure}`) },
    locations: [
      {
        physicalLocation: {
          artifactLocation: location(file),
          // Code scanning wants a line, also where the whole file is meant.
          region: line === 0 ? { startLine: 1 } : { startLine: line, startColumn: column },
        },
      },
    ],
  };
}

function location(file: string): { readonly uri: string; readonly uriBaseId?: string } {
  if (isAbsolute(file)) return { uri: pathToFileURL(file).href };
  return { uri: file.split('/').map(encodeURIComponent).join('/'), uriBaseId: '%SRCROOT%' };
}
