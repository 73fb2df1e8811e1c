import { expect } from 'chai';
import { registered, registrationYaml } from './files.ts';

describe('`observe` of a registration', () => {
  it('is only there where it is true', async () => {
    expect(await registered(`${registrationYaml}observe: true\n`)).to.have.property('observe', true);
    for (const yaml of [registrationYaml, `${registrationYaml}observe: false\n`]) {
      expect(await registered(yaml)).to.not.have.property('observe');
    }
  });
});
