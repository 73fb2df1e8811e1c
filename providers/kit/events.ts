/** Which of a container's events tells why it failed. Services mark failures as `Normal` too. Every provider may use it. */

const failing =
  /\b(fail(s|ed|ure|ing)?|error(s|ed)?|denied|forbidden|refused|unauthorized|unable|cannot|could not|invalid|not found|timed? ?out|back-?off|kill(ed|ing)?|evict(ed|ion)?|exceeded|exhausted|insufficient)\b|^(Failed|Err)[A-Z]/i;

/** The last that is a warning or speaks of a failure; what went well before and after it explains nothing. */
export function failingEvent<E>(
  events: readonly E[],
  read: (event: E) => { readonly warning: boolean; readonly words: string },
): E | undefined {
  const warning = events.findLast((event) => read(event).warning);
  return warning ?? events.findLast((event) => failing.test(read(event).words));
}
