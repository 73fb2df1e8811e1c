import { expect } from 'chai';
import { printFields, printJson, printTable } from '../../dispatcher/cli/output.ts';
import type { Terminal } from '../../dispatcher/cli/terminal.ts';

describe('what commands print', () => {
  function printed(print: (terminal: Terminal) => void, width?: number): string {
    let text = '';
    print({
      out: (more) => {
        text += more;
      },
      error: () => undefined,
      environment: {},
      workingFolder: '/',
      width,
      exit: () => undefined,
    });
    return text;
  }

  interface Row {
    readonly name: string;
    readonly count: number | null;
  }

  const rows: readonly Row[] = [
    { name: 'short', count: 5 },
    { name: 'a longer one', count: null },
  ];
  const columns = [
    { title: 'name', value: (row: Row) => row.name },
    { title: 'count', value: (row: Row) => row.count, align: 'right' as const },
  ];

  it('is a table with columns as wide as they need', () => {
    expect(printed((terminal) => printTable(terminal, rows, columns))).to.equal(
      'NAME          COUNT\nshort             5\na longer one      -\n',
    );
  });

  it('ends where the terminal ends', () => {
    const text = printed((terminal) => printTable(terminal, rows, columns), 10);
    expect(text).to.equal('NAME     …\nshort    …\na longer …\n');
  });

  it('carries no control characters of strangers to the terminal', () => {
    const rude = [{ name: '\u001b[2Jjob\r\nname\u202e', count: 1 }];
    const text = printed((terminal) => {
      printTable(terminal, rude, columns);
      printFields(terminal, [['name', '\u001b]0;x\u0007']]);
    });
    expect(text).to.not.match(/[^\P{C}\n]/u);
    expect(text).to.include('�[2Jjob� name�');
  });

  it('carries none as JSON either, which says the same to a program', () => {
    const rude = { name: 'job\u009b2J\u007f\u202e\u{e0041}\u2028', text: '\u001b[2J' };
    const text = printed((terminal) => printJson(terminal, rude));
    expect(text).to.not.match(/[^\P{C}\n]|\u2028/u);
    expect(JSON.parse(text)).to.deep.equal(rude);
  });

  it('is one JSON document with a newline', () => {
    expect(printed((terminal) => printJson(terminal, { a: [1] }))).to.equal('{\n  "a": [\n    1\n  ]\n}\n');
  });
});
