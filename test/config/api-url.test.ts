import { expect } from 'chai';
import { judgeApiUrl } from '../../dispatcher/config/api-url.ts';

describe('the URL of an API', () => {
  for (const url of [
    'https://user@ghes.acme.test',
    'https://:pass@ghes.acme.test',
    'https://user:pass@ghes.acme.test',
  ]) {
    it(`carries no credentials, neither name nor password: ${url}`, () => {
      expect(judgeApiUrl(url)).to.equal('it carries credentials');
    });
  }

  for (const url of ['https://ghes.acme.test/api/v3?a=b', 'https://ghes.acme.test/api/v3#a']) {
    it(`has neither query nor fragment: ${url}`, () => {
      expect(judgeApiUrl(url)).to.equal('it has a query or fragment');
    });
  }
});
