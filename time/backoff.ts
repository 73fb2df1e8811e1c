/** `firstMs` at first, then twice as long each time, up to `mostMs`. `times`: how often it has waited before. */
export function backoffMs(firstMs: number, mostMs: number, times: number): number {
  // The exponent is bounded, so that a large count cannot make the product infinite.
  return Math.min(mostMs, firstMs * 2 ** Math.min(times, 20));
}
