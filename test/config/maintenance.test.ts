import { expect } from 'chai';
import { problemsOf, registered, registrationYaml } from './files.ts';

const withWindows = (yaml: string) => `${registrationYaml}maintenance:\n${yaml}`;

describe('the maintenance windows of a registration', () => {
  it('are read with their time zone, UTC where none is written', async () => {
    const yaml = withWindows(
      "  - { cron: '0  2 * * 6', duration: 4h, timeZone: Europe/Berlin }\n  - { cron: '30 23 L * *', duration: 90m }\n",
    );
    expect((await registered(yaml)).maintenance).to.deep.equal([
      { cron: '0 2 * * 6', durationMs: 4 * 3_600_000, timeZone: 'Europe/Berlin' },
      { cron: '30 23 L * *', durationMs: 90 * 60_000, timeZone: 'Etc/UTC' },
    ]);
    expect(await registered(registrationYaml)).to.not.have.property('maintenance');
  });

  for (const [what, line, words] of [
    ['too few fields', "{ cron: '0 2 * * ', duration: 1h }", 'maintenance[0].cron: it has five fields'],
    ['seconds', "{ cron: '0 0 2 * * *', duration: 1h }", 'maintenance[0].cron: it has five fields'],
    ['an hour that is none', "{ cron: '0 25 * * *', duration: 1h }", 'maintenance[0].cron: hour `25` is not valid'],
    [
      'a zone that is none',
      "{ cron: '0 2 * * *', duration: 1h, timeZone: Mars/Base }",
      'maintenance[0].timeZone: it is not a time zone',
    ],
    [
      'a window that never closes',
      "{ cron: '0 2 * * *', duration: 3d }",
      'maintenance[0].duration: a window is open from a minute to two days',
    ],
    ['a window that never opens', "{ cron: '0 2 * * *', duration: 10s }", 'maintenance[0].duration'],
  ] as const) {
    it(`refuse ${what}, at its line`, async () => {
      const problems = await problemsOf({ 'registrations/acme.yaml': withWindows(`  - ${line}\n`) });
      expect(problems).to.have.length(1);
      expect(problems[0])
        .to.match(/^registrations\/acme\.yaml:10:/)
        .and.include(words);
    });
  }
});
