import { describe, expect, it } from 'vitest';
import type { Tick } from '../../src/api/client';
import { arcsOf, Places } from '../../src/charts/arcs';
import { contrast, KINDS, kindColour } from '../../src/charts/palette';
import { StandingBoard } from '../../src/charts/standing';
import { behaviour, networkOf, TileBoard } from '../../src/charts/tiles';

const packet = (src: string, kind: string, slot: number, dport?: number, ms = 0) => ({ ms, src, kind, proto: 6, dport, slot, sensor: 's', country: 'JP' });
const tick = (sample: ReturnType<typeof packet>[], at = 1000): Tick => ({ number: 1, at: String(at), seconds: 0.5, packets: sample.length, bytes: 0, kinds: {}, sample });

describe('palette', () => {
  it('stands out from both grounds (WCAG 2.2: 3 to 1 for graphics)', () => {
    for (const kind of KINDS) {
      expect(contrast(kindColour(kind, 'dark'), '#0b1019'), kind).toBeGreaterThan(3);
      expect(contrast(kindColour(kind, 'light'), '#ffffff'), kind).toBeGreaterThan(3);
    }
  });
});

describe('tiles', () => {
  it('tell a sweep, a victim and carpet bombing apart', () => {
    const board = new TileBoard();
    const sweep = Array.from({ length: 20 }, (_, n) => packet('203.0.113.5', 'scan', n * 12, 23));
    const victim = Array.from({ length: 12 }, (_, n) => packet('198.51.100.9', 'backscatter', n * 20, 1000 + n));
    const carpet = Array.from({ length: 30 }, (_, n) => packet(`192.0.2.${n % 10}`, 'backscatter', n * 8, 2000));
    board.take(tick([...sweep, ...victim, ...carpet]));
    const shown = new Map(board.busiest(10).map((tile) => [tile.name, behaviour(tile)]));
    expect(Object.fromEntries(shown)).toEqual({ '192.0.2.0/24': 'carpet', '203.0.113.5': 'sweep', '198.51.100.9': 'victim' });
  });

  it('draw a wave together, and keep the whole minute of a busy source', () => {
    const board = new TileBoard();
    board.take(tick(Array.from({ length: 60 }, (_, n) => packet(`203.0.113.${n % 20}`, 'infected', n * 4, 5555))));
    const [wave] = board.busiest(10, new Set([5555]));
    expect([wave?.members.size, wave?.packets, wave && behaviour(wave)]).toEqual([20, 60, 'wave']);
    expect(board.busiest(30).length).toBe(20);
    for (let second = 1; second < 50; second += 1) board.take(tick(Array.from({ length: 100 }, (_, n) => packet('198.51.100.9', 'backscatter', n, n)), 1000 + second));
    const flood = board.busiest(10)[0];
    expect(flood && flood.points.length <= 400 && Math.abs(flood.packets - 4900) < 100).toBe(true);
    expect(flood?.points[0]?.at).toBeLessThan(1_003_000);
  });

  it('forget what is older than their window', () => {
    const board = new TileBoard();
    board.take(tick([packet('203.0.113.5', 'scan', 1, 23)], 1000));
    board.take(tick([packet('203.0.113.6', 'scan', 1, 23)], 1061));
    expect(board.busiest(10).map((tile) => tile.name)).toEqual(['203.0.113.6']);
  });

  it('cut networks by family', () => {
    expect(networkOf('192.0.2.77')).toBe('192.0.2.0/24');
    expect(networkOf('2001:db8:1::5')).toBe('2001:db8:1::/48');
  });
});

describe('what stands out', () => {
  const noise = Array.from({ length: 40 }, (_, n) => packet(`203.0.113.${n}`, 'scan', n * 6, 1000 + 37 * n));
  const seen = (sample: ReturnType<typeof packet>[]) => {
    const board = new StandingBoard();
    board.take({ ...tick([...noise, ...sample]), packets: 1000 });
    return board.now().map((one) => [one.what, one.name, one.hosts]);
  };

  it('is nothing in noise, and each of the three shapes by its name', () => {
    expect(seen([])).toEqual([]);
    expect(seen(Array.from({ length: 30 }, (_, n) => packet(`198.51.100.${n}`, 'scan', n, 5555)))).toEqual([['wave', '5555', 30]]);
    expect(seen(Array.from({ length: 30 }, (_, n) => packet('192.0.2.7', 'backscatter', n, 2000 + n)))).toEqual([['flood', '192.0.2.7', 1]]);
    expect(seen(Array.from({ length: 30 }, (_, n) => packet(`192.0.2.${n % 9}`, 'backscatter', n, 2000)))).toEqual([['carpet', '192.0.2.0/24', 9]]);
  });

  it('forgets a minute later, and tells rates of what was not in the sample', () => {
    const board = new StandingBoard();
    const flood = Array.from({ length: 50 }, (_, n) => packet('192.0.2.7', 'backscatter', n, 2000 + n));
    board.take({ ...tick(flood), packets: 500 });
    expect(board.now()[0]?.rate).toBe(1000);
    board.take(tick(noise, 1061));
    expect(board.now()).toEqual([]);
  });
});

describe('arcs', () => {
  it('start at the same spot for the same source, and never without a country', () => {
    const places = new Places([]);
    const one = arcsOf(tick([packet('203.0.113.5', 'scan', 1)]), places, new Map([['s', [139, 35]]]), 0);
    const two = arcsOf(tick([packet('203.0.113.5', 'scan', 9)]), places, new Map(), 0);
    expect(one[0]?.from).toEqual(two[0]?.from);
    expect(one[0]?.to).toEqual([139, 35]);
    expect(two[0]?.to).toBeUndefined();
    expect(arcsOf(tick([{ ...packet('203.0.113.5', 'scan', 1), country: '' }]), places, new Map(), 0)).toEqual([]);
  });
});
