/** What a size costs for a time, by the price that a backend's owner wrote. Pure. */
import { MINUTE } from '../../time/units.ts';
import type { Price } from './registration.ts';

export interface Sized {
  readonly cpu?: number;
  readonly memoryGiB?: number;
}

/** In the price's currency. Undefined: the price or the size is not known. */
export function estimatedCost(price: Price | undefined, size: Sized | undefined, ms: number): number | undefined {
  if (price === undefined || size?.cpu === undefined || size.memoryGiB === undefined) return undefined;
  const hours = ms / (60 * MINUTE);
  return hours * (size.cpu * price.perCoreHour + size.memoryGiB * price.perGiBHour);
}

/** Two digits that count, and cents where there are whole ones. */
export function moneyWords(amount: number): string {
  return amount >= 0.1 || amount === 0 ? amount.toFixed(2) : String(Number(amount.toPrecision(2)));
}
