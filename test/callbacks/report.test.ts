import { expect } from 'chai';
import { reportOf } from '../../dispatcher/callbacks/report.ts';
import { MINUTE } from '../../time/units.ts';
import { registered, registrationYaml } from '../config/files.ts';

describe('the report at the end of a job', () => {
  const runner = {
    ...{ name: 'shr-1', registration: 'acme', backend: 'main' },
    ...{ createdAtMs: 0, onlineAtMs: 5_000, busyAtMs: 6_000 },
  };
  const used = {
    ...{ result: null, memoryPeakBytes: null, memoryLimitBytes: null },
    ...{ cpuSeconds: null, diskBytes: null, oomKills: null },
  };
  const price = { perCoreHour: 0.04, perGiBHour: 0.005, currency: 'USD' };
  const cost = (minutes: number, wish: { cpu?: number; memoryGiB?: number } | undefined, of = price) =>
    reportOf({ runner, job: undefined, wish, used, price: of, nowMs: minutes * MINUTE }).filter((line) =>
      line.includes('cost'),
    );

  it('estimates the cost where the price of the backend is known', () => {
    expect(cost(30, { cpu: 2, memoryGiB: 4 })).to.deep.equal([
      'shr: cost: about 0.05 USD, an estimate (2 cores and 4 GiB for 30m)',
    ]);
    expect(cost(1, { cpu: 0.5, memoryGiB: 1 })).to.deep.equal([
      'shr: cost: about 0.00042 USD, an estimate (0.5 cores and 1 GiB for 1m)',
    ]);
    expect(cost(600, { cpu: 16, memoryGiB: 64 })[0]).to.include('about 9.60 USD');
  });

  it('says nothing of it where the price or the size is not known', () => {
    const lines = reportOf({
      runner,
      job: undefined,
      wish: { cpu: 2, memoryGiB: 4 },
      used,
      price: undefined,
      nowMs: 1,
    });
    expect(lines.join()).to.not.include('cost');
    expect(cost(30, undefined)).to.deep.equal([]);
    expect(cost(30, { cpu: 2 })).to.deep.equal([]);
  });

  it('takes the price from the registration’s backend', async () => {
    const yaml = `${registrationYaml.trimEnd()}\n    price: { perCoreHour: 0.04, perGiBHour: 0.005, currency: USD }\n`;
    expect((await registered(yaml)).backends[0]?.price).to.deep.equal(price);
    const wrong = await registered(yaml.replace('USD', 'dollars')).catch((error: unknown) => String(error));
    expect(wrong).to.include('three capital letters');
  });
});
