/** The `shr.yaml` that an organization keeps for all of its registrations. */
import { z } from 'zod';
import type { GithubError } from './github.ts';
import type { Caller } from './requester.ts';

export interface OrganizationText {
  /** `acme/.github-private/shr.yaml` */
  readonly file: string;
  /** Longer than `mostCharacters` where the file is. */
  readonly text: string;
}

export interface OrganizationFiles {
  /** Undefined: there is none that the credentials see. Rejects with GithubError only. */
  readOrganizationFile(organization: string, mostCharacters: number): Promise<OrganizationText | undefined>;
}

/** In this order: the first one that has the file counts, even if what is in it cannot be used. */
const REPOSITORIES = ['.github-private', '.github'];
const PATH = 'shr.yaml';

export async function readOrganizationFile(
  caller: Caller,
  organization: string,
  mostCharacters: number,
): Promise<OrganizationText | undefined> {
  for (const repository of REPOSITORIES) {
    const answer = await caller.call({
      method: 'GET',
      route: '/repos/{owner}/{repo}/contents/{path}',
      parameters: { owner: organization, repo: repository, path: PATH },
      // It can wait: what was read last stays in force.
      purpose: 'sweep',
      mediaType: 'application/vnd.github.raw+json',
      answer: z.string('shr.yaml is not a file').transform((text) => cut(text, mostCharacters + 1)),
      accept: [404],
      conditional: () => 0,
    });
    if (!answer.accepted) return { file: `${organization}/${repository}/${PATH}`, text: answer.data };
  }
  return undefined;
}

/** A copy: a part of a text keeps all of it in memory. */
function cut(text: string, most: number): string {
  return text.length <= most ? text : Buffer.from(text.slice(0, most)).toString();
}

/** What to do where GitHub does not let the file be read. */
export function organizationFileCure(error: GithubError): string {
  return error.kind === 'forbidden' || error.kind === 'unauthorized'
    ? 'Give the App or token the permission Contents: read on that repository'
    : 'It is asked for again';
}
