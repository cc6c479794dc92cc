// Every text is in both languages with the same placeholders, and every key that pages use exists.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import en from '../../src/i18n/en.json';
import ja from '../../src/i18n/ja.json';

const source = join(import.meta.dirname, '../../src');
const files = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : /\.(svelte|ts)$/.test(entry.name) ? [join(folder, entry.name)] : [],
  );
const placeholders = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((found) => found[1]).sort();

describe('catalogues', () => {
  it('have the same keys', () => {
    expect(Object.keys(ja).sort()).toEqual(Object.keys(en).sort());
  });

  it('have the same placeholders, and no empty text', () => {
    for (const [key, text] of Object.entries(en)) {
      const other = (ja as Record<string, string>)[key] ?? '';
      expect(placeholders(other), key).toEqual(placeholders(text));
      expect(text.length * other.length, key).toBeGreaterThan(0);
    }
  });

  it('hold every key that a page names', () => {
    const used = new Set(files(source).flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/\bt\(\s*'([a-z][\w.-]*\.[\w.-]+)'/g)].map((found) => found[1] ?? '')));
    expect(used.size).toBeGreaterThan(100);
    expect([...used].filter((key) => !(key in en))).toEqual([]);
  });
});
