/** What a provider in a package of its own tests itself with: `serverless-hosted-runner/conformance`. */
export { pageService, silentService } from './bad-services.ts';
export { describeConformance, SkipSuite } from './conformance.ts';
export {
  type Ability,
  type Harness,
  type Lacks,
  type Misbehaving,
  type Program,
  programs,
  testHost,
} from './harness.ts';
