/** For the end of a `switch`: the compiler names the case that is missing there. */
export function unreachable(value: never): never {
  throw new Error(`not handled: ${JSON.stringify(value)}`);
}
