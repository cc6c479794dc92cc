// Words, numbers and times in the reader's language. Every text of the portal comes from the catalogues beside.
import en from './en.json';
import ja from './ja.json';

export type Key = keyof typeof en;
export type Language = 'en' | 'ja';

const catalogues: Record<Language, Record<Key, string>> = { en, ja };

function preferred(): Language {
  const kept = globalThis.localStorage?.getItem('language');
  if (kept === 'en' || kept === 'ja') return kept;
  return navigator.language.startsWith('ja') ? 'ja' : 'en';
}

class Words {
  language = $state<Language>(preferred());

  choose(language: Language): void {
    this.language = language;
    localStorage.setItem('language', language);
    document.documentElement.lang = language;
  }
}

export const words = new Words();
document.documentElement.lang = words.language;

/** The text of a key, with `{name}` replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return catalogues[words.language][key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The text of a key made at run time; falls back to the last part when the hub knows a word that we do not. */
export function word(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  return (catalogues[words.language] as Record<string, string>)[key] ?? name;
}

const locale = () => (words.language === 'ja' ? 'ja-JP' : 'en-GB');

export function number(value: number): string {
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}

/** Short form for counters: 12.3K, 1.2万. */
export function short(value: number): string {
  if (value < 10_000) return number(value);
  return new Intl.NumberFormat(locale(), { notation: 'compact', maximumFractionDigits: 1 }).format(value);
}

export function percent(share: number): string {
  return new Intl.NumberFormat(locale(), { style: 'percent', maximumFractionDigits: 0 }).format(share);
}

/** An instant of the API (seconds since 1970) as date and time in UTC. */
export function time(seconds: string | number | null | undefined): string {
  if (seconds === null || seconds === undefined) return '–';
  const date = new Date(Number(seconds) * 1000);
  return `${new Intl.DateTimeFormat(locale(), { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' }).format(date)} UTC`;
}

export function clock(seconds: string | number): string {
  const date = new Date(Number(seconds) * 1000);
  return new Intl.DateTimeFormat(locale(), { timeStyle: 'medium', timeZone: 'UTC' }).format(date);
}

/** How long ago, in the largest fitting unit. */
export function ago(seconds: string | number | null | undefined, now = Date.now() / 1000): string {
  if (seconds === null || seconds === undefined) return '–';
  const past = Math.max(0, now - Number(seconds));
  const form = new Intl.RelativeTimeFormat(locale(), { numeric: 'auto', style: 'short' });
  if (past < 60) return form.format(-Math.round(past), 'second');
  if (past < 3600) return form.format(-Math.round(past / 60), 'minute');
  if (past < 172_800) return form.format(-Math.round(past / 3600), 'hour');
  return form.format(-Math.round(past / 86_400), 'day');
}

export function duration(seconds: number): string {
  if (seconds < 1) return t('unit.under-a-second');
  if (seconds < 120) return t('unit.seconds', { n: number(Math.round(seconds)) });
  if (seconds < 7200) return t('unit.minutes', { n: number(Math.round(seconds / 60)) });
  return t('unit.hours', { n: number(Math.round(seconds / 3600)) });
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let index = 0;
  let rest = value;
  while (rest >= 1000 && index < units.length - 1) {
    rest /= 1000;
    index += 1;
  }
  return `${number(rest)} ${units[index]}`;
}

export function country(code: string | null | undefined): string {
  if (!code) return '';
  try {
    return new Intl.DisplayNames([locale()], { type: 'region' }).of(code) ?? code;
  } catch {
    return code;
  }
}
