/** What a tenant reads first. */
import type { Sources } from './tenant-workflows.ts';

export function readmeText(name: string, { repository, ref }: Sources): string {
  const variable = `TENANT_${name.toUpperCase().replaceAll('-', '_')}_TOKEN`;
  return `# Runners for your jobs

One file in \`registrations/\` says whose GitHub Actions jobs are served, by which labels, and what their runners are.

## Join

1. **Write** \`registrations/NAME.yaml\`, after the example in that folder: \`NAME.example.yaml\`, if there is one, is made of what you were granted. NAME is your tenant's name as the platform team knows it:
   lower-case letters, digits and inner hyphens.
2. **Secrets** never stand in the file. Seal them with the platform's public key, for your registration and the field alone, and put what
   is printed in their place. Or hand them to the platform team, and write a reference such as \`\${env:${variable}}\`.

   \`\`\`sh
   shr seal --registration NAME --field credentials.token
   \`\`\`
3. **Check** it. \`platform.json\`, if it is here, says what you may use.

   \`\`\`sh
   shr validate
   shr explain --repo OWNER/NAME --labels serverless-hosted-runner
   \`\`\`
4. **Open a pull request.** Mistakes are shown at their lines, and the summary of the check tells what changes for whom. Where you were not
   granted something, the message has the line that the platform team would have to add.
5. **Merged**, the platform's dispatcher takes it. The status \`registrations\` of the commit says that the files are valid; with
   \`deploy: true\` in the workflow, that each one's dispatcher was deployed. Run a job with \`runs-on: serverless-hosted-runner\`.

To change or leave, change or remove the file in the same way. Jobs that run are finished.

## The command

\`shr\` needs make, npm and Node 20 or later:

\`\`\`sh
git clone https://github.com/${repository} ../shr
git -C ../shr checkout ${ref}
make -C ../shr deps
clone=$(cd ../shr && pwd) && shr() { "$clone/node_modules/.bin/node" "$clone/dispatcher/cli/shr.mjs" "$@"; }
\`\`\`

Its \`docs/\` has more: \`tenants.md\`, \`labels.md\`, \`registrations.md\`.
`;
}
