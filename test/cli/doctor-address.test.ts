import { expect } from 'chai';
import type { AddressReply } from '../../dispatcher/callbacks/address-call.ts';
import { createAddressProof } from '../../dispatcher/callbacks/address-proof.ts';
import { checkAddress } from '../../dispatcher/cli/doctor/address.ts';
import { systemRandom } from '../../time/clock.ts';

const url = 'https://shr.example';
const refused: AddressReply = { kind: 'none', cause: 'refused', words: 'connect ECONNREFUSED 203.0.113.5:443' };

describe('shr doctor, about the public address', () => {
  const check = async (
    straight: AddressReply | { readonly id: string },
    proxied?: AddressReply | { readonly id: string },
  ) => {
    const [finding, ...more] = await checkAddress(
      { id: 'shr', url },
      {
        random: systemRandom,
        hasProxy: proxied !== undefined,
        call: async ({ form, way }) => {
          const said = way === 'proxy' && proxied !== undefined ? proxied : straight;
          if ('kind' in said) return said;
          const question = createAddressProof({ key: 'of that process', id: said.id }).receive();
          question.take(Buffer.from(form));
          return { kind: 'answer', ...(await question.finish()) };
        },
      },
    );
    expect(more).to.deep.equal([]);
    return finding;
  };

  it('says nothing where runners make no call-backs', async () => {
    const call = async () => refused;
    expect(
      await checkAddress({ id: 'shr', url: undefined }, { random: systemRandom, hasProxy: false, call }),
    ).to.deep.equal([]);
  });

  it('finds the dispatcher of this configuration', async () => {
    const finding = await check({ id: 'shr' });
    expect(finding).to.include({ about: 'listener', subject: 'address', ok: true }).and.not.have.property('note');
    expect((await check(refused, { id: 'shr' }))?.message).to.include('answers through the proxy');
  });

  it('only notes that nothing answers: runners may reach it', async () => {
    const finding = await check(refused);
    expect(finding).to.include({ ok: true, note: true });
    expect(finding?.message)
      .to.include('could not be reached from here (refused: connect ECONNREFUSED')
      .and.include('runners may');
    const down = await check({ kind: 'answer', status: 502, text: 'Bad Gateway' });
    expect(down).to.include({ ok: true, note: true });
  });

  it('says who else answers, and what to do', async () => {
    const page = await check({ kind: 'answer', status: 200, text: '<html><title>Welcome to nginx!</title></html>' });
    expect(page?.ok).to.equal(false);
    expect(page?.message).to.include('something else (status 200, an HTML page ("Welcome to nginx!"))');
    expect(page?.cure).to.include('listen.public.url');
    const other = await check({ id: 'other' });
    expect(other?.ok).to.equal(false);
    expect(other?.message).to.include('answered by another dispatcher');
  });
});
