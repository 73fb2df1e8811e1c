import { expect } from 'chai';
import { z } from 'zod';
import { type AliEciSimulator, demoOptions, startAliEciSimulator } from '../../simulators/ali-eci/index.ts';
import { type Installation, startInstallation } from './installation.ts';
import { shr } from './process.ts';

const reportSchema = z.object({
  ok: z.boolean(),
  caches: z.array(z.object({ backend: z.string(), image: z.string(), id: z.string(), status: z.string() })),
});

describe('shr image-cache', () => {
  let fixture: Installation;
  let simulator: AliEciSimulator;

  before(async () => {
    simulator = await startAliEciSimulator({ images: {} });
    fixture = await startInstallation();
    await fixture.register('cloud', {
      backends: [
        {
          name: 'hangzhou',
          kind: 'ali-eci',
          options: { ...demoOptions(simulator), accessKeySecret: '${env:ALI_SECRET}' },
        },
      ],
    });
    await fixture.register('local');
  });
  after(async () => {
    await fixture.close();
    await simulator.close();
  });

  const run = (...args: string[]) =>
    shr(['image-cache', ...args], fixture.folder, {
      ...fixture.environment,
      ALI_SECRET: String(demoOptions(simulator)['accessKeySecret']),
    });

  it('makes a cache of the default image, once, and shows how far it is', async () => {
    const read = async () => reportSchema.parse(JSON.parse((await run('--registration', 'cloud', '--json')).out));
    const first = await read();
    expect(first.ok).to.equal(true);
    expect(first.caches[0]).to.include({ backend: 'hangzhou', image: 'cli/runner:1', status: 'Preparing' });
    const later = await read();
    expect(later.caches[0]?.id).to.equal(first.caches[0]?.id);
    expect(later.caches[0]?.status).to.be.oneOf(['Creating', 'Ready']);
  });

  it('waits until it is ready with --wait', async () => {
    const { code, out } = await run('--registration', 'cloud', '--wait');
    expect(out).to.include('hangzhou').and.include('Ready').and.include('100%');
    expect(code).to.equal(0);
  });

  it('says what the service says, and exits with 1', async () => {
    const end = simulator.fault({ kind: 'no-permission', action: 'DescribeImageCaches' });
    const { code, error } = await run('--registration', 'cloud');
    end();
    expect(code).to.equal(1);
    expect(error).to.include('backend hangzhou').and.include('Forbidden.RAM');
  });

  it('refuses a registration without such a backend', async () => {
    const { code, error } = await run('--registration', 'local');
    expect(code).to.equal(2);
    expect(error).to.include('no backend of kind ali-eci');
  });
});
