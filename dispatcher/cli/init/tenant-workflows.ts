/** The workflows of a tenants' repository: each calls one of ours, at one commit. */

export interface Sources {
  readonly repository: string;
  readonly ref: string;
}

export function workflowTexts({ repository, ref }: Sources): Readonly<Record<string, string>> {
  const called = (name: string): string => `${repository}/.github/workflows/${name}-registrations.yml@${ref}`;
  const given = `    with:
      sources: ${repository}
      ref: ${ref}
`;
  return {
    'validate-registrations.yml': `name: Validate registrations

on:
  pull_request:

permissions: {}

jobs:
  validate:
    uses: ${called('validate')}
    permissions:
      contents: read
${given}    # Where the repository above is private, and the organization does not open it to others:
    # secrets:
    #   token: \${{ secrets.SOURCES_TOKEN }} # may read it; pull requests from forks do not get it
`,
    'comment-registrations.yml': `name: Comment on registrations

on:
  workflow_run:
    workflows: [Validate registrations]
    types: [completed]

permissions: {}

jobs:
  comment:
    uses: ${called('comment')}
    permissions:
      actions: read
      pull-requests: write
`,
    'apply-registrations.yml': `name: Apply registrations

on:
  push:
    branches: [main]

permissions: {}

jobs:
  apply:
    uses: ${called('apply')}
    permissions:
      contents: read
      statuses: write
${given}      # A dispatcher of your own for each registration, where its first backend is; needs dispatcher.yaml here:
      # deploy: true
      # image: registry.example/shr:0.2.0
    # secrets:
    #   token: \${{ secrets.SOURCES_TOKEN }} # as in validate-registrations.yml
    #   environment: \${{ secrets.SHR_ENVIRONMENT }} # lines NAME=VALUE
`,
  };
}
