// Each source a tile by behaviour: what it touched in the last minute. Victims of one prefix that answer together become
// one tile, for that is what carpet bombing looks like from here. Bounded, independent of the drawing.
import type { LivePacket, Tick } from '../api/client';

export interface Point {
  at: number;
  slot: number;
  port: number | undefined;
  kind: string;
  /** Packets that it stands for: more than one where points were thinned. */
  weight: number;
}

export interface Tile {
  name: string;
  country: string | undefined;
  packets: number;
  points: Point[];
  kinds: Map<string, number>;
  members: Set<string>;
  ports: Set<number>;
  slots: Set<number>;
  seen: number;
  /** One of so many packets becomes a point, so that a busy source keeps its whole minute. */
  every: number;
  skipped: number;
  /** Sources that look for this port, drawn together; each has its own height. */
  wave: number | undefined;
}

export type Behaviour = 'sweep' | 'ports' | 'single' | 'victim' | 'carpet' | 'wave' | 'requests' | 'few';

export const WINDOW_SECONDS = 60;
const MAX_SOURCES = 4000;
const MAX_POINTS = 400;
/** Victims of one prefix from which they are drawn together. */
export const CARPET_FROM = 3;

/** The /24 of an IPv4 address, the /48 of an IPv6 one. */
export function networkOf(address: string): string {
  if (!address.includes(':')) return `${address.split('.').slice(0, 3).join('.')}.0/24`;
  return `${address.split(':').slice(0, 3).join(':')}::/48`;
}

export class TileBoard {
  #sources = new Map<string, Tile>();

  take(tick: Tick): void {
    const start = Number(tick.at) * 1000;
    for (const packet of tick.sample) this.#add(packet, start + packet.ms);
    const oldest = start - WINDOW_SECONDS * 1000;
    for (const [source, tile] of this.#sources) {
      tile.points = tile.points.filter((point) => point.at > oldest);
      if (tile.points.length === 0) this.#sources.delete(source);
    }
  }

  #add(packet: LivePacket, at: number): void {
    let tile = this.#sources.get(packet.src);
    if (!tile) {
      if (this.#sources.size >= MAX_SOURCES) return;
      tile = blank(packet.src, packet.country ?? undefined);
      this.#sources.set(packet.src, tile);
    }
    tile.seen = at;
    tile.skipped += 1;
    if (tile.skipped < tile.every) return;
    tile.skipped = 0;
    tile.points.push({ at, slot: packet.slot, port: packet.dport ?? undefined, kind: packet.kind, weight: tile.every });
    if (tile.points.length <= MAX_POINTS) return;
    tile.points = tile.points.filter((_, index) => index % 2 === 0);
    for (const point of tile.points) point.weight *= 2;
    tile.every *= 2;
  }

  /** The busiest tiles; together are victims of one prefix, and sources that look for a port of `waves` alone. */
  busiest(count: number, waves: ReadonlySet<number> = new Set()): Tile[] {
    const ports = new Map<number, Tile>();
    const nets = new Map<string, Tile[]>();
    const merged = new Set<Tile>();
    for (const tile of this.#sources.values()) {
      recount(tile);
      const port = tile.ports.size === 1 ? [...tile.ports][0] : undefined;
      if (port !== undefined && waves.has(port) && mainKind(tile) !== 'backscatter') {
        const whole = ports.get(port) ?? { ...blank(String(port), undefined), wave: port };
        ports.set(port, join(whole, tile, heightOf(tile.name)));
        merged.add(tile);
        continue;
      }
      if ((tile.kinds.get('backscatter') ?? 0) * 2 < tile.packets) continue;
      const net = networkOf(tile.name);
      nets.set(net, [...(nets.get(net) ?? []), tile]);
    }
    const out: Tile[] = [...ports.values()];
    out.forEach(recount);
    for (const [net, tiles] of nets) {
      if (tiles.length < CARPET_FROM) continue;
      const whole = blank(net, tiles[0]?.country);
      for (const tile of tiles) {
        merged.add(tile);
        join(whole, tile);
      }
      recount(whole);
      out.push(whole);
    }
    // Copies, so that a screen sees that something changed.
    for (const tile of this.#sources.values()) if (!merged.has(tile)) out.push({ ...tile });
    return out.sort((a, b) => b.packets - a.packets || a.name.localeCompare(b.name)).slice(0, count);
  }

  get size(): number {
    return this.#sources.size;
  }
}

function blank(name: string, country: string | undefined): Tile {
  return { name, country, packets: 0, points: [], kinds: new Map(), members: new Set(), ports: new Set(), slots: new Set(), seen: 0, every: 1, skipped: 0, wave: undefined };
}

/** Puts a tile's points into a larger one; at a height of their own where that is given. */
function join(whole: Tile, tile: Tile, height?: number): Tile {
  whole.members.add(tile.name);
  whole.points.push(...(height === undefined ? tile.points : tile.points.map((point) => ({ ...point, slot: height }))));
  whole.seen = Math.max(whole.seen, tile.seen);
  return whole;
}

/** A height from 0 to 255, always the same for the same source. */
function heightOf(source: string): number {
  let value = 7;
  for (let at = 0; at < source.length; at += 1) value = (value * 31 + source.charCodeAt(at)) % 65_521;
  return value % 256;
}

function recount(tile: Tile): void {
  tile.kinds = new Map();
  tile.ports = new Set();
  tile.slots = new Set();
  tile.packets = 0;
  for (const point of tile.points) {
    tile.packets += point.weight;
    tile.kinds.set(point.kind, (tile.kinds.get(point.kind) ?? 0) + point.weight);
    if (point.port !== undefined) tile.ports.add(point.port);
    tile.slots.add(point.slot);
  }
}

/** What a tile shows, in one word. Thresholds are for the eye only; findings come from the detectors. */
export function behaviour(tile: Tile): Behaviour {
  const main = mainKind(tile);
  if (tile.wave !== undefined) return 'wave';
  if (tile.members.size >= CARPET_FROM) return 'carpet';
  if (tile.packets < 3) return 'few';
  if (main === 'backscatter') return 'victim';
  if (main === 'amplification' && tile.slots.size <= 2) return 'requests';
  if (tile.ports.size >= 6) return 'ports';
  if (tile.slots.size >= 3) return 'sweep';
  return 'single';
}

export function mainKind(tile: Tile): string {
  let best = 'other';
  let most = 0;
  for (const [kind, count] of tile.kinds) if (count > most) [best, most] = [kind, count];
  return best;
}
