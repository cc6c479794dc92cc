// One meaning per colour on every page. After Okabe and Ito (2008), told apart with every common colour blindness;
// each kind also has a shape, so that print and screen readers lose nothing.
export const KINDS = ['scan', 'infected', 'backscatter', 'amplification', 'udp', 'other'] as const;
export type Kind = (typeof KINDS)[number];

const DARK: Record<Kind, string> = {
  scan: '#56b4e9',
  infected: '#f0e442',
  backscatter: '#f2703f',
  amplification: '#d78ab6',
  udp: '#2fc195',
  other: '#8b97ad',
};

const LIGHT: Record<Kind, string> = {
  scan: '#0072b2',
  infected: '#8f7300',
  backscatter: '#c04a00',
  amplification: '#a34583',
  udp: '#007a5a',
  other: '#5d6880',
};

export const SHAPES: Record<Kind, string> = {
  scan: '●',
  infected: '▲',
  backscatter: '◆',
  amplification: '■',
  udp: '▼',
  other: '○',
};

export function isKind(text: string): text is Kind {
  return (KINDS as readonly string[]).includes(text);
}

export function kindColour(kind: string, theme: 'dark' | 'light'): string {
  const table = theme === 'dark' ? DARK : LIGHT;
  return isKind(kind) ? table[kind] : table.other;
}

// For series that are no kinds: evenly spaced in lightness and hue, the rest in grey.
const SERIES_DARK = ['#56b4e9', '#e69f00', '#2fc195', '#d78ab6', '#f0e442', '#7c8cf8', '#f2703f', '#b3c7d6'];
const SERIES_LIGHT = ['#0072b2', '#b36b00', '#007a5a', '#a34583', '#8f7300', '#4553c9', '#c04a00', '#4a6275'];

export function seriesColour(index: number, theme: 'dark' | 'light'): string {
  const table = theme === 'dark' ? SERIES_DARK : SERIES_LIGHT;
  return table[index % table.length] ?? '#888888';
}

/** Contrast ratio of two colours (WCAG 2.2, relative luminance). */
export function contrast(a: string, b: string): number {
  const luminance = (hex: string) => {
    const channel = (at: number) => {
      const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
  };
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}
