import { createHash } from 'node:crypto';
import { fullName, type Repository } from '../model.ts';
import type { Urls } from './urls.ts';

/** A file as `…/contents/{path}` shows it without a media type. */
export function filePayload(
  repository: Repository,
  { path, text }: { readonly path: string; readonly text: string },
  urls: Urls,
) {
  const bytes = Buffer.from(text);
  const sha = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  const api = `${urls.api}/repos/${fullName(repository)}`;
  const page = `${urls.html}/${fullName(repository)}`;
  const links = {
    self: `${api}/contents/${path}?ref=main`,
    git: `${api}/git/blobs/${sha}`,
    html: `${page}/blob/main/${path}`,
  };
  return {
    type: 'file',
    encoding: 'base64',
    size: bytes.length,
    name: path,
    path,
    content: `${bytes.toString('base64').replaceAll(/.{60}/g, '$&\n')}\n`,
    sha,
    url: links.self,
    git_url: links.git,
    html_url: links.html,
    download_url: `${page}/raw/main/${path}`,
    _links: links,
  };
}
