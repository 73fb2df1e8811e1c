/** Who pulls images: the project's service agent from Google's registries, an anonymous caller from Docker Hub. */
import { googleRegistries } from '../google/registries.ts';
import type { Puller } from '../registry/puller.ts';

export function pullerOf(headers: () => Promise<Headers>): Puller {
  return {
    logins: [],
    // There is no option for logins: the service does not accept any.
    option: 'credentials',
    ...googleRegistries(headers, "the project's service agent of Cloud Run"),
    whenPrivate: 'put it into Artifact Registry',
  };
}
