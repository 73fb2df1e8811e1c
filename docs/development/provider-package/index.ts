/** The smallest provider in a package of its own: the kind `acme`. */
import { CONTRACT_VERSION, ProviderError, type ProviderModule } from 'serverless-hosted-runner/provider';
import { z } from 'zod';
import { AcmeProvider } from './provider.js';

/** What a registration writes under `options`. */
const options = z.strictObject({
  endpoint: z.string().default('acme.example'),
  command: z.array(z.string()).min(1).default(['/home/runner/run.sh']),
});

const acme: ProviderModule<z.infer<typeof options>> = {
  kind: 'acme',
  contract: CONTRACT_VERSION,
  options,
  create: ({ endpoint, command }) => new AcmeProvider(endpoint, command),
  withCommand: (given, command) => ({ ...given, command: [...command] }),
  demo: () => Promise.reject(new ProviderError('invalid', 'acme demo', 'there is no demo of this kind')),
};
export default acme;
