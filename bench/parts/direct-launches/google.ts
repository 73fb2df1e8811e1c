/** Connection settings shared by both Google services. */
import { z } from 'zod';

export const googleSchema = z.object({
  project: z.string(),
  region: z.string(),
  credentials: z.string(),
  endpoint: z.string(),
  serviceAccount: z.string(),
});
