// Not p-limit: it queues a promise for every item at once, where this takes the next item when there is a place.

/**
 * Runs `action` for each item, at most `limit` at a time. The results in the order of the items; rejects with the first
 * failure.
 */
export async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  action: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results: R[] = [];
  const rest = items.entries();
  const worker = async (): Promise<void> => {
    for (const [index, item] of rest) results[index] = await action(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}
