/** Replaces an HTML page where a message was expected by its title. Pure. */

/** A title is near the top of its page. */
const SEARCHED_CHARACTERS = 8_000;
const TITLE_CHARACTERS = 120;

/** `an HTML page ("Unicorn! · GitHub")`; undefined if the text is not a page. */
export function pageOf(text: string): string | undefined {
  const head = text.slice(0, SEARCHED_CHARACTERS);
  if (
    !/^\s*(?:<\?xml[^>]{0,200}>\s*)?<(?:!doctype\s+html|html|head|body|title)\b/i.test(
      head.replace(/<!--[\s\S]*?-->/g, ''),
    )
  ) {
    return undefined;
  }
  const title = /<title[^>]{0,200}>([^<]{1,400})</i.exec(head)?.[1];
  const words = title === undefined ? '' : unescaped(title).replace(/\s+/g, ' ').trim();
  return words === '' ? 'an HTML page' : `an HTML page ("${words.slice(0, TITLE_CHARACTERS)}")`;
}

/** The same text, with a page in its middle or at its end replaced as `pageOf` does. */
export function withoutPage(text: string): string {
  const start = text.search(/<!doctype\s+html|<html[\s>]/i);
  if (start === -1) return text;
  const page = text.slice(start);
  const end = page.toLowerCase().lastIndexOf('</html>');
  const after = end === -1 ? '' : page.slice(end + '</html>'.length).trim();
  return [text.slice(0, start).trim(), pageOf(page) ?? 'an HTML page', after].filter((part) => part !== '').join(' ');
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  middot: '·',
  mdash: '—',
  ndash: '–',
  hellip: '…',
};

function unescaped(text: string): string {
  return text.replace(/&([a-z]{2,8}|#39);/gi, (whole, name: string) =>
    name === '#39' ? "'" : (ENTITIES[name] ?? whole),
  );
}
