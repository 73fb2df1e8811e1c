/** The message once for each of its fields, with that field's name misspelt. Keys of maps, given by name, are free, and stay. */
export function misspellings(message: object, maps: readonly string[]): [string, object][] {
  const walk = (value: unknown, path: string, rebuild: (changed: unknown) => object): [string, object][] => {
    if (Array.isArray(value)) {
      return value.flatMap((item, index) =>
        walk(item, `${path}.${index}`, (changed) => rebuild(value.toSpliced(index, 1, changed))),
      );
    }
    if (typeof value !== 'object' || value === null || maps.includes(path.slice(path.lastIndexOf('.') + 1))) return [];
    return Object.entries(value).flatMap(([key, one]): [string, object][] => {
      const { [key]: _, ...rest }: Record<string, unknown> = { ...value };
      return [
        [`${path}.${key}`, rebuild({ ...rest, [`${key}x`]: one })],
        ...walk(one, `${path}.${key}`, (changed) => rebuild({ ...value, [key]: changed })),
      ];
    });
  };
  return walk(message, '', (changed) => (typeof changed === 'object' && changed !== null ? changed : {}));
}
