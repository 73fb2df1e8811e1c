/** The metrics that a viewer sees. Pure. */
import type { Sight } from './sight.ts';

/** Values are escaped in the exposition format, so that this begins no label within one. */
const REGISTRATION = /[{,]registration="([a-z0-9-]+)"[,}]/;

/** For tenants: the series of their registrations, and nothing about the process, the platform or all together. */
export function metricsOf(text: string, sight: Sight): string {
  if (sight.tenants === null) return text;
  const kept: string[] = [];
  let heading: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('# ')) {
      if (line.startsWith('# HELP')) heading = [];
      heading.push(line);
      continue;
    }
    const registration = REGISTRATION.exec(line)?.[1];
    if (registration === undefined || !sight.sees(registration)) continue;
    kept.push(...heading, line);
    heading = [];
  }
  return kept.length === 0 ? '' : `${kept.join('\n')}\n`;
}
