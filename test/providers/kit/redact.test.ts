import { expect } from 'chai';
import { redact, withoutSecrets } from '../../../providers/kit/redact.ts';
import { ProviderError } from '../../../providers/provider.ts';

describe('what a launch was given in secret', () => {
  const secret = 'eyJhIjoi"b\\c';
  const request = { secretEnvironment: { JIT: secret, FLAG: 'on' } };

  it('is taken out of a text, as it is and as JSON writes it', () => {
    const text = `was ${secret}, ${JSON.stringify({ JIT: secret })}; on and on`;
    expect(redact(text, [secret, 'on'])).to.equal('was [secret], {"JIT":"[secret]"}; on and on');
  });

  it('is in no part of the error, whose kind, code and request id stay', () => {
    const error = new ProviderError('invalid', 'acme create', `bad ${secret}`, {
      code: 'Bad',
      requestId: 'r-1',
      retryAfterMs: 5,
      cause: new Error(secret),
    });
    const clean = withoutSecrets(error, request);
    if (!(clean instanceof ProviderError)) throw new Error('it is no ProviderError');
    expect(clean).to.include({ kind: 'invalid', code: 'Bad', requestId: 'r-1', retryAfterMs: 5 });
    expect(clean.message).to.equal('acme create: bad [secret]');
    expect(clean.cause).to.equal(undefined);
  });

  it('leaves an error without it as it is, with its cause', () => {
    const error = new ProviderError('invalid', 'acme create', 'bad', { cause: new Error('why') });
    expect(withoutSecrets(error, request)).to.equal(error);
  });
});
