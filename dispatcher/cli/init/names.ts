/** Names as options take them. */
import { InvalidArgumentError } from 'commander';
import { NAME, ownerName, repositoryName } from '../../config/schema.ts';

export function parseName(text: string): string {
  if (NAME.test(text)) return text;
  throw new InvalidArgumentError('Use 1 to 32 lower-case letters, digits and inner hyphens.');
}

export function parseOrganization(text: string): string {
  if (ownerName.safeParse(text).success) return text;
  throw new InvalidArgumentError('Write its name as in the address of its page at GitHub.');
}

export function parseRepository(text: string): string {
  if (repositoryName.safeParse(text).success) return text;
  throw new InvalidArgumentError('Write it as owner/name.');
}
