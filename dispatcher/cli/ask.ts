/** Prompts the user at the terminal. */
import { createInterface } from 'node:readline';

/** On standard error, so that standard output carries only the result. Ctrl-C and Ctrl-D return no answer. */
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
