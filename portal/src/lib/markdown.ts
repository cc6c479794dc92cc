// The part of Markdown that our pages are written in, as a tree. Nothing of it becomes HTML by itself: a component draws
// the tree, so that no text can bring markup along.
export type Inline = { kind: 'text' | 'code' | 'strong' | 'emphasis'; text: string } | { kind: 'link'; text: string; to: string };
export type Block =
  | { kind: 'heading'; level: number; text: string; id: string }
  | { kind: 'paragraph'; parts: Inline[] }
  | { kind: 'quote'; parts: Inline[] }
  | { kind: 'code'; text: string }
  | { kind: 'list'; ordered: boolean; items: Inline[][] }
  | { kind: 'table'; head: Inline[][]; rows: Inline[][][] };

const INLINE = /`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

export function inline(text: string): Inline[] {
  const parts: Inline[] = [];
  let from = 0;
  for (const found of text.matchAll(INLINE)) {
    if (found.index > from) parts.push({ kind: 'text', text: text.slice(from, found.index) });
    if (found[1] !== undefined) parts.push({ kind: 'code', text: found[1] });
    else if (found[2] !== undefined) parts.push({ kind: 'strong', text: found[2] });
    else if (found[3] !== undefined) parts.push({ kind: 'emphasis', text: found[3] });
    else parts.push({ kind: 'link', text: (found[4] ?? '').replaceAll('`', ''), to: found[5] ?? '' });
    from = found.index + found[0].length;
  }
  if (from < text.length) parts.push({ kind: 'text', text: text.slice(from) });
  return parts;
}

const cells = (line: string) =>
  line
    .replace(/^\s*\|/, '')
    .replace(/\|\s*$/, '')
    .split(/(?<!\\)\|/)
    .map((cell) => inline(cell.trim().replaceAll('\\|', '|')));

export const slug = (text: string) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '');

export function parse(text: string): Block[] {
  const lines = text.split('\n');
  const blocks: Block[] = [];
  let at = 0;
  const special = (line: string) => /^(#{1,6} |```|>|\s*[-*] |\s*\d+\. |\|)/.test(line);
  while (at < lines.length) {
    const line = lines[at] ?? '';
    const heading = /^(#{1,6}) (.*)$/.exec(line);
    if (line.trim() === '') at += 1;
    else if (heading) {
      const plain = (heading[2] ?? '').replace(/[`*]/g, '');
      blocks.push({ kind: 'heading', level: heading[1]?.length ?? 1, text: plain, id: slug(plain) });
      at += 1;
    } else if (line.startsWith('```')) {
      const end = lines.findIndex((other, n) => n > at && other.startsWith('```'));
      const stop = end < 0 ? lines.length : end;
      blocks.push({ kind: 'code', text: lines.slice(at + 1, stop).join('\n') });
      at = stop + 1;
    } else if (line.startsWith('|') && /^\s*\|?[\s:|-]+\|?\s*$/.test(lines[at + 1] ?? '')) {
      const head = cells(line);
      at += 2;
      const rows: Inline[][][] = [];
      while ((lines[at] ?? '').startsWith('|')) rows.push(cells(lines[at++] ?? ''));
      blocks.push({ kind: 'table', head, rows });
    } else if (/^\s*([-*]|\d+\.) /.test(line)) {
      const ordered = /^\s*\d+\. /.test(line);
      const items: string[] = [];
      while (at < lines.length && (lines[at] ?? '').trim() !== '') {
        const item = /^\s*(?:[-*]|\d+\.) (.*)$/.exec(lines[at] ?? '');
        if (item) items.push(item[1] ?? '');
        else items.push(`${items.pop() ?? ''} ${(lines[at] ?? '').trim()}`);
        at += 1;
      }
      blocks.push({ kind: 'list', ordered, items: items.map(inline) });
    } else {
      const quote = line.startsWith('>');
      const words: string[] = [line.replace(/^>\s?/, '')];
      at += 1;
      while (at < lines.length && (lines[at] ?? '').trim() !== '' && (quote || !special(lines[at] ?? ''))) words.push((lines[at++] ?? '').replace(/^>\s?/, '').trim());
      blocks.push(quote ? { kind: 'quote', parts: inline(words.join(' ')) } : { kind: 'paragraph', parts: inline(words.join(' ')) });
    }
  }
  return blocks;
}
