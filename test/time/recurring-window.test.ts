import { expect } from 'chai';
import fc from 'fast-check';
import { createTask, getTasks } from 'node-cron';
import { type RecurringWindow, RecurringWindows } from '../../time/recurring-window.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

function window(cron: string, durationMs: number, timeZone = 'Etc/UTC'): RecurringWindow {
  return { cron, durationMs, timeZone };
}

describe('windows that come again', () => {
  let windows: RecurringWindows;
  before(async () => {
    windows = await RecurringWindows.load();
  });

  it('are open from the minute that the expression names until their time is over', () => {
    const saturdays = window('0 2 * * 6', 4 * HOUR);
    const start = Date.UTC(2026, 10, 28, 2);
    const at = (ms: number) => windows.openUntilMs(saturdays, start + ms);
    expect([at(-1), at(0), at(HOUR), at(4 * HOUR - 1), at(4 * HOUR), at(DAY)]).to.deep.equal([
      undefined,
      start + 4 * HOUR,
      start + 4 * HOUR,
      start + 4 * HOUR,
      undefined,
      undefined,
    ]);
    expect(at(7 * DAY + HOUR)).to.equal(start + 7 * DAY + 4 * HOUR);
    expect(at(HOUR), 'a clock that was set back').to.equal(start + 4 * HOUR);
    expect(at(-HOUR)).to.equal(undefined);
  });

  it('end with the last one where several overlap', () => {
    const always = window('*/10 * * * *', 30 * MINUTE);
    const now = Date.UTC(2026, 0, 1, 12, 25);
    expect(windows.openUntilMs(always, now)).to.equal(Date.UTC(2026, 0, 1, 12, 50));
    expect(windows.openUntilMs(always, now + 5 * MINUTE)).to.equal(Date.UTC(2026, 0, 1, 13));
  });

  it('follow the clocks of their zone through summer time', () => {
    const berlin = window('30 3 * * *', HOUR, 'Europe/Berlin');
    const begins = (ms: number) => windows.openUntilMs(berlin, ms);
    expect(begins(Date.UTC(2026, 2, 28, 2, 30)), 'winter').to.equal(Date.UTC(2026, 2, 28, 3, 30));
    expect(begins(Date.UTC(2026, 2, 29, 1, 30)), 'summer').to.equal(Date.UTC(2026, 2, 29, 2, 30));
    const india = window('0 0 * * *', HOUR, 'Asia/Kolkata');
    expect(windows.openUntilMs(india, Date.UTC(2026, 5, 1, 18, 30))).to.equal(Date.UTC(2026, 5, 1, 19, 30));
  });

  it('are those that node-cron itself finds minute by minute', () => {
    const field = (most: number) =>
      fc.oneof(fc.constant('*'), fc.integer({ min: 1, max: most }).map(String), fc.constant(`*/${Math.min(most, 7)}`));
    const zones = fc.constantFrom('Etc/UTC', 'Europe/Berlin', 'Asia/Kathmandu', 'America/St_Johns');
    const expression = fc.tuple(field(59), field(23), field(28), field(12), field(6)).map((fields) => fields.join(' '));
    fc.assert(
      fc.property(
        expression,
        zones,
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 0, max: 525_600 }),
        (cron, timeZone, minutes, offset) => {
          const now = Date.UTC(2026, 0, 1) + offset * MINUTE;
          const task = createTask(cron, () => {}, { timezone: timeZone });
          let expected: number | undefined;
          for (let back = 0; back < minutes && expected === undefined; back += 1) {
            if (task.match(new Date(now - back * MINUTE))) expected = now + (minutes - back) * MINUTE;
          }
          void task.destroy();
          expect(windows.openUntilMs(window(cron, minutes * MINUTE, timeZone), now)).to.equal(expected);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('leave nothing behind in the list of node-cron', () => {
    const before = getTasks().size;
    windows.openUntilMs(window('0 2 * * 6', HOUR), Date.UTC(2026, 0, 1));
    expect(getTasks().size).to.equal(before);
  });

  it('cost little, also the longest with the worst expression', () => {
    const worst = Array.from({ length: 100 }, () => window('0-58 * 28 2 *', 2 * DAY, 'Asia/Kathmandu'));
    const started = process.cpuUsage();
    for (const one of worst) windows.openUntilMs(one, Date.UTC(2026, 1, 27));
    const { user } = process.cpuUsage(started);
    expect(user / 1000 / worst.length, 'ms each').to.be.lessThan(20);
  });
});
