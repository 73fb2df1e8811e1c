/** Displays the stories as they unfold: redrawn in place on a terminal, otherwise one line per change. */
import { printable } from '../output.ts';
import type { Terminal } from '../terminal.ts';
import { type JobStory, storyLine } from './story.ts';

export interface Screen {
  show(stories: readonly JobStory[], nowS: number): void;
  /** The final state: one line per job, with reason and cure for refused ones. */
  end(stories: readonly JobStory[], nowS: number): void;
}

export function createScreen(terminal: Terminal): Screen {
  const last = new Map<number, string>();
  let drawn = 0;

  function lines(stories: readonly JobStory[], nowS: number): readonly string[] {
    const width = Math.max(0, ...stories.map(({ name }) => name.length));
    return stories.map((story) => printable(storyLine(story, width, nowS)));
  }

  function redraw(stories: readonly JobStory[], columns: number, nowS: number): void {
    const cut = lines(stories, nowS).map((line) => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line));
    const up = drawn > 0 ? `\u001b[${drawn}A` : '';
    terminal.out(`${up}${cut.map((line) => `\u001b[2K${line}\n`).join('')}`);
    drawn = cut.length;
  }

  function append(stories: readonly JobStory[], nowS: number): void {
    for (const [index, line] of lines(stories, nowS).entries()) {
      const id = stories[index]?.id ?? 0;
      const told = line.trimEnd();
      if (last.get(id) === told) continue;
      last.set(id, told);
      terminal.out(`${told}\n`);
    }
  }

  return {
    show(stories, nowS) {
      if (terminal.width === undefined) append(stories, nowS);
      else redraw(stories, terminal.width, nowS);
    },
    end(stories, nowS) {
      if (terminal.width === undefined) terminal.out('\n');
      else if (drawn > 0) terminal.out(`\u001b[${drawn}A\u001b[J`);
      for (const line of lines(stories, nowS)) terminal.out(`${line.trimEnd()}\n`);
      for (const { name, refusal } of stories) {
        if (refusal !== undefined)
          terminal.out(`${printable(`${name} was refused: ${refusal.reason}. ${refusal.cure}`)}\n`);
      }
    },
  };
}
