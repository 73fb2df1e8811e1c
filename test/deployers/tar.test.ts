import { execFileSync } from 'node:child_process';
import { expect } from 'chai';
import { archive } from '../../deployers/docker/tar.ts';

describe('an archive for the engine', () => {
  for (const length of [0, 1, 511, 512, 513, 100_000]) {
    it(`is read by tar, with ${length} bytes in its file`, () => {
      const text = 'x'.repeat(length);
      const input = archive({ name: 'bundle', text, owner: 10_001, mode: 0o600 });
      expect(input.length % 512).to.equal(0);
      const listed = execFileSync('tar', ['--list', '--verbose', '--numeric-owner'], { input }).toString();
      expect(listed).to.match(new RegExp(`^-rw------- 10001/10001 +${length} .* bundle\n$`));
      expect(execFileSync('tar', ['--extract', '--to-stdout'], { input }).toString()).to.equal(text);
    });
  }
});
