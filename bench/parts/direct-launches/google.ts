/** What both of Google's are reached with. */
import { z } from 'zod';

export const googleSchema = z.object({
  project: z.string(),
  region: z.string(),
  credentials: z.string(),
  endpoint: z.string(),
  serviceAccount: z.string(),
});
