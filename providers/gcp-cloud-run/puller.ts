/** Who pulls images: the project's service agent from Google's registries, nobody in particular from Docker Hub. */
import { googleRegistries } from '../google/registries.ts';
import type { Puller } from '../registry/check-images.ts';

export function pullerOf(headers: () => Promise<Headers>): Puller {
  return {
    logins: [],
    // There is none: the service takes no logins.
    option: 'credentials',
    ...googleRegistries(headers, "the project's service agent of Cloud Run"),
    whenPrivate: 'put it into Artifact Registry',
  };
}
