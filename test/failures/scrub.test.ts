import { expect } from 'chai';
import fc from 'fast-check';
import { REDACTED, scrub, scrubOutput } from '../../dispatcher/failures/scrub.ts';

/** Shaped as GitHub sends it: base64 of a map from file names to base64. */
function jitConfiguration(keyBytes: Uint8Array): string {
  const encoded = (value: string | Uint8Array) => Buffer.from(value).toString('base64');
  const files = {
    '.runner': encoded(JSON.stringify({ AgentId: 42, AgentName: 'shr-01k', ServerUrl: 'https://pipelines.example/x' })),
    '.credentials': encoded(JSON.stringify({ Scheme: 'OAuth', Data: { ClientId: 'c0ffee', Url: 'https://x/y' } })),
    '.credentials_rsaparams': encoded(keyBytes),
  };
  return encoded(JSON.stringify(files));
}

// W9
describe('scrub', () => {
  it('finds any 100 characters of a JIT configuration, wherever it was cut', () => {
    const keys = fc.uint8Array({ minLength: 400, maxLength: 900 });
    const cut = fc.record({ bytes: keys, at: fc.double({ min: 0, max: 1, noNaN: true }), length: fc.nat(300) });
    fc.assert(
      fc.property(cut, ({ bytes, at, length }) => {
        const blob = jitConfiguration(Buffer.from(bytes.map((byte, index) => (byte + index * 97) % 256)));
        const part = blob.slice(
          Math.floor(at * (blob.length - 100)),
          Math.floor(at * (blob.length - 100)) + 100 + length,
        );
        for (const clean of [scrub(`env: X=${part} end`, 10_000), scrubOutput(`X=${part}\n`)]) {
          for (let index = 0; index + 20 <= part.length; index += 20) {
            expect(clean).to.not.include(part.slice(index, index + 20));
          }
        }
      }),
    );
  });

  it('finds a JIT configuration by its first characters, however short the rest', () => {
    const blob = jitConfiguration(new Uint8Array(10));
    expect(blob.startsWith('eyIu')).to.equal(true);
    expect(scrub(`jit ${blob.slice(0, 40)} end`, 1_000)).to.equal('jit [secret] end');
  });

  it('finds base64 that is wrapped into lines', () => {
    const blob = jitConfiguration(new Uint8Array(64).map((_, index) => (index * 131) % 256)).slice(7, 207);
    // What JSON has escaped begins the next line with an n.
    for (const [end, left] of [
      ['\n', '\n'],
      ['\r\n', '\r\n'],
      ['\\n', ''],
    ] as const) {
      const wrapped = blob.match(/.{1,76}/g)?.join(end) ?? '';
      expect(scrubOutput(`before\n${wrapped}${end}# after`)).to.equal(`before\n[secret]${left}# after`);
    }
  });

  it('finds what is interrupted by characters that nobody sees', () => {
    const token = 'ghs_16C7e42F292c6912E7710c838347Ae178B4a';
    const blob = jitConfiguration(new Uint8Array(400).map((_, index) => (index * 131) % 256));
    const between = (text: string, mark: string) => [...text].join(mark);
    // As `grep --color` shows what it found, and as a program writes that has UTF-16 for its output.
    for (const [what, text] of [
      ['colours', `X=\u001b[01;31m\u001b[Kghs_\u001b[m\u001b[K${token.slice(4)}`],
      ['UTF-16', `X=${between(token, '\0')}\0`],
      ['UTF-16, a blob', `X=${between(blob, '\0')}\0`],
      ['a zero width space', `X=${between(token, '\u200b')}`],
      ['a variation selector', `X=${between(blob, '\ufe0f')}`],
      ['backspaces of another colour', `X=${between(token, '\u001b[1m\b')}`],
    ] as const) {
      for (const clean of [scrubOutput(text), scrub(text, 10_000)]) {
        expect(clean, what).to.equal('X=[secret]');
      }
    }
  });

  it('leaves colours and marks where they hide nothing', () => {
    const text = '\u001b[32m✓\u001b[0m 12 tests\u0007\n\u001b]0;title\u0007 👩\u200d🔧\n';
    expect(scrubOutput(text)).to.equal(text);
    expect(scrub(text, 10_000)).to.equal(text);
  });

  it('leaves resource ids, paths, digests and rulers alone', () => {
    for (const text of [
      '/subscriptions/5f3c2b1a-9d8e-4f7a-8b6c-0d1e2f3a4b5c/resourceGroups/Runner-RG-Prod01/providers/Microsoft.ContainerInstance/containerGroups/shr-01kabcdefgh',
      'projects/my-project-123/locations/europe-west4/jobs/shr-01k7abcdefghjkmnpqrstvwxyz/executions/shr-01k7abcdefghjkmnpqrstvwxyz-x7k2p',
      '/home/runner/work/_temp/_runner_file_commands/set_env_5f3c2b1a-9d8e-4f7a-8b6c-0d1e2f3a4b5c/actions/checkout/v4/dist/index.js',
      `sha512 ${'0123456789abcdef'.repeat(8)}`,
      `${'0123456789abcdef'.repeat(4)}\n`.repeat(5),
      '='.repeat(120),
      '-'.repeat(300),
    ]) {
      expect(scrub(text, 10_000), text).to.equal(text);
      expect(scrubOutput(text), text).to.equal(text);
    }
  });

  it('takes time in proportion to the text, whatever a container prints', () => {
    // A pattern that goes back over what it has read would take minutes for one of these, and meet the time limit.
    const pieces = [
      'A',
      'Ab1',
      'x\n',
      `${'a'.repeat(60)}\n`,
      '-----BEGIN ',
      'authorization: ',
      '://a:',
      'eyJ',
      'Basic ',
      '\u001b[',
      '\u001b[0',
      '\u200b',
      'A\u001b[m',
    ];
    const cleaned = pieces.map((piece) => scrubOutput(piece.repeat(Math.ceil((256 * 1024) / piece.length))));
    expect(cleaned.filter((text) => text === REDACTED)).to.have.length.greaterThan(1);
  });

  it('keeps the whole of an output', () => {
    const text = 'a line of words\n'.repeat(16_000);
    expect(scrubOutput(text)).to.equal(text);
  });
});
