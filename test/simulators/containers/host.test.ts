import { expect } from 'chai';
import { ContainerHost, NoSuchImage } from '../../../simulators/containers/host.ts';

describe('the machine under the simulated clouds', () => {
  let host: ContainerHost;

  beforeEach(() => {
    host = new ContainerHost({
      images: { 'shell:1': ['/bin/sh', '-c'] },
      substitutions: { '/opt/greet': 'echo greetings' },
    });
  });
  afterEach(() => host.close());

  const shell = (script: string, more: { environment?: Record<string, string>; files?: Record<string, string> } = {}) =>
    host.start({ image: 'shell:1', args: [script], environment: {}, ...more });

  it('runs what the image runs, and tells exit code and output', async () => {
    const container = await shell('echo out; echo err >&2; exit 3');
    expect(await container.ended).to.deep.equal({ exitCode: 3 });
    expect(container.output().split('\n').sort()).to.deep.equal(['', 'err', 'out']);
  });

  it('gives it its environment and nothing of this process', async () => {
    const container = await shell('echo "$GIVEN $npm_lifecycle_event"', { environment: { GIVEN: 'yes' } });
    await container.ended;
    expect(container.output()).to.equal('yes \n');
  });

  it('shows files at the path that the command names, and stands in for programs of the image', async () => {
    const container = await shell('cat /run/secret/jit; /opt/greet', { files: { '/run/secret/jit': 'blob\n' } });
    await container.ended;
    expect(container.output()).to.equal('blob\ngreetings\n');
  });

  it('says of an image that it does not know that it does not exist', async () => {
    const failed = await host.start({ image: 'nobody/has:it', environment: {} }).catch((error: unknown) => error);
    expect(failed).to.be.instanceOf(NoSuchImage);
  });

  it('leaves nothing running that was on its way when it was closed', async () => {
    const late = shell('sleep 600');
    await host.close();
    const container = await late;
    expect(container.end).to.not.equal(undefined);
    const afterwards = await shell('sleep 600');
    expect(afterwards.end).to.not.equal(undefined);
  });

  it('stops a group gracefully, and by force where that is ignored', async () => {
    const polite = await shell('trap "exit 9" TERM; sleep 600 & wait');
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await polite.stop(5_000)).to.deep.equal({ exitCode: 9 });
    const deaf = await shell("trap '' TERM; while :; do sleep 1; done");
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(await deaf.stop(100)).to.deep.equal({ signal: 'SIGKILL' });
  });
});
