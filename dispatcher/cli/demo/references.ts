import { SECRET_NAME } from '../../config/shared-sections.ts';

/** A backend's options with references in place of secrets, which are never written to a file: as in production. */
export function withReferences(
  options: Readonly<Record<string, unknown>>,
  prefix: string,
): { readonly options: unknown; readonly secrets: Readonly<Record<string, string>> } {
  const secrets: Record<string, string> = {};
  const walk = (value: unknown, key: string): unknown => {
    if (typeof value === 'string' && SECRET_NAME.test(key)) {
      const name = `${prefix}_${Object.keys(secrets).length}`;
      secrets[name] = value;
      return `\${env:${name}}`;
    }
    if (Array.isArray(value)) return value.map((item) => walk(item, ''));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, name)]));
  };
  return { options: walk(options, ''), secrets };
}
