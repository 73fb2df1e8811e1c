/** A question to the person at the terminal. */
import { createInterface } from 'node:readline';

/** On standard error, so that standard output stays the result. Ctrl-C and Ctrl-D answer nothing. */
export function askAtTerminal(question: string): Promise<string> {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    lines.on('close', () => resolve(''));
    lines.on('SIGINT', () => lines.close());
    lines.question(question, (answer) => {
      resolve(answer.trim());
      lines.close();
    });
  });
}
