// The documents that ship with the program, read at build time from the same files as in the source.
const PAGES = import.meta.glob<string>(['../../../docs/**/*.md', '../../../README*.md', '../../../ARCHITECTURE.md', '../../../CHANGELOG.md', '../../../SECURITY.md'], {
  query: '?raw',
  import: 'default',
});

export interface Doc {
  /** Path in the source, without `.md`. */
  name: string;
  load: () => Promise<string>;
}

const clean = (path: string) => path.replace(/^(\.\.\/)+/, '').replace(/\.md$/, '');
const rank = (name: string) => (name.startsWith('README') ? 0 : name.startsWith('docs/') ? 2 : 1);

export const docs: Doc[] = Object.entries(PAGES)
  .map(([path, load]) => ({ name: clean(path), load }))
  .sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));

/** Where a link inside a document leads: another document, or nowhere that we have. */
export function follow(from: string, to: string): string | undefined {
  if (/^https?:/.test(to)) return to;
  const [path = '', anchor] = to.split('#');
  if (path === '') return `/docs/${from}${anchor ? `?at=${anchor}` : ''}`;
  const parts = from.split('/').slice(0, -1);
  for (const part of path.replace(/\.md$/, '').split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  const name = parts.join('/');
  return docs.some((doc) => doc.name === name) ? `/docs/${name}${anchor ? `?at=${anchor}` : ''}` : undefined;
}
