#!/usr/bin/env node
/**
 * Starts shr.ts with Node's compile cache: half of what a start costs is stripping types and compiling. JavaScript,
 * because stripping this one file would load the stripper, which none of the others needs once they are in the cache.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Beside the packages: those who can write there can change the program itself. Without effect where it is read-only.
enableCompileCache(join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'compiled'));
await import('./shr.ts');
