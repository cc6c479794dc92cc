// The client's types are those of the API's description as it is kept; the description itself is checked by the hub's tests.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import openapiTS, { astToString } from 'openapi-typescript';
import { expect, it } from 'vitest';

const folder = join(import.meta.dirname, '../../src/api');

it('types are generated from the description', async () => {
  const description: unknown = JSON.parse(readFileSync(join(folder, 'openapi.json'), 'utf8'));
  const made = astToString(await openapiTS(description as Parameters<typeof openapiTS>[0]));
  const kept = readFileSync(join(folder, 'schema.ts'), 'utf8');
  expect(kept.includes(made.trim()), 'run: npm run api').toBe(true);
}, 30_000);
