/** The container's health: whether the dispatcher serves jobs. `SHR_READY_URL`: where `listen.admin` is not port 9090. */
const url = process.env['SHR_READY_URL'] || 'http://127.0.0.1:9090/readyz';
try {
  const answer = await fetch(url, { signal: AbortSignal.timeout(4_000) });
  console.log(`${answer.status} ${(await answer.text()).slice(0, 1_000)}`);
  process.exitCode = answer.ok ? 0 : 1;
} catch (error) {
  console.log(`${url} does not answer: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
