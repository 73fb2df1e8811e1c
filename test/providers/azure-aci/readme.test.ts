import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { azureAciOptions } from '../../../providers/azure-aci/options.ts';

describe('the page of azure-aci', () => {
  let page: string;

  before(async () => {
    page = await readFile(new URL('../../../providers/azure-aci/README.md', import.meta.url), 'utf8');
  });

  it('names every option, and no other', () => {
    const table = page.slice(page.indexOf('## Options'), page.indexOf('### Signing in'));
    const rows = table.split('\n').filter((line) => line.startsWith('| `'));
    const named = rows.flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`([A-Za-z]+)`/g)].map(([, name = '']) => name),
    );
    const names = Object.keys(azureAciOptions.shape);
    expect(names.length).to.be.greaterThan(20);
    expect([...named].sort()).to.deep.equal([...names].sort());
  });

  it('has roles of Azure with the actions of the calls that are made, and none on secrets or roles', () => {
    const roles = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, text = '']) => text);
    expect(roles).to.have.length(2);
    const actions = roles.flatMap((text) => [...text.matchAll(/"(Microsoft\.[A-Za-z/]+)"/g)].map(([, name]) => name));
    expect(actions).to.deep.equal([
      'Microsoft.ContainerInstance/containerGroups/read',
      'Microsoft.ContainerInstance/containerGroups/write',
      'Microsoft.ContainerInstance/containerGroups/delete',
      'Microsoft.ContainerInstance/containerGroups/containers/logs/read',
      'Microsoft.ContainerInstance/locations/usages/read',
      'Microsoft.ContainerInstance/locations/capabilities/read',
    ]);
    for (const text of roles) expect(() => JSON.parse(text)).to.not.throw();
  });
});
