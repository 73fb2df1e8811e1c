/**
 * Finds the container event that explains a failure. Services mark failures as `Normal` too. Every provider may use it.
 */

const failing =
  /\b(fail(s|ed|ure|ing)?|error(s|ed)?|denied|forbidden|refused|unauthorized|unable|cannot|could not|invalid|not found|timed? ?out|back-?off|kill(ed|ing)?|evict(ed|ion)?|exceeded|exhausted|insufficient)\b|^(Failed|Err)[A-Z]/i;

/** The last event that is a warning or mentions a failure; the successes before and after it explain nothing. */
export function failingEvent<E>(
  events: readonly E[],
  read: (event: E) => { readonly warning: boolean; readonly words: string },
): E | undefined {
  const warning = events.findLast((event) => read(event).warning);
  return warning ?? events.findLast((event) => failing.test(read(event).words));
}
