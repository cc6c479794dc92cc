// What moves on the map: packets on their way from a country to a sensor. Bounded, independent of the drawing.
import type { LivePacket, Tick } from '../api/client';
import { geoBounds, geoContains } from 'd3-geo';
import { COUNTRIES } from './countries';

export interface Arc {
  from: [number, number];
  to: [number, number] | undefined;
  kind: string;
  src: string;
  born: number;
}

/** Arcs alive at once; past it the oldest end early. */
export const MAX_ARCS = 320;
/** Milliseconds that an arc lives. */
export const ARC_LASTS = 1700;

function hash(text: string): number {
  let value = 2166136261;
  for (let at = 0; at < text.length; at += 1) value = Math.imul(value ^ text.charCodeAt(at), 16777619);
  return value >>> 0;
}

type Shape = GeoJSON.Feature<GeoJSON.Geometry>;

/**
 * Where sources are drawn: somewhere inside their country, always at the same spot for the same source. The country is
 * known, the place in it is not; spreading keeps large countries from becoming one bright dot.
 */
export class Places {
  #shapes = new Map<number, { shape: Shape; bounds: [[number, number], [number, number]] }>();
  #known = new Map<string, [number, number]>();
  static readonly MAX_KNOWN = 5000;
  static readonly TRIES = 24;

  constructor(shapes: Shape[]) {
    for (const shape of shapes) this.#shapes.set(Number(shape.id), { shape, bounds: geoBounds(shape) });
  }

  of(packet: Pick<LivePacket, 'src' | 'country'>): [number, number] | undefined {
    const country = packet.country ? COUNTRIES[packet.country] : undefined;
    if (!country) return undefined;
    const known = this.#known.get(packet.src);
    if (known) return known;
    const place = this.#find(packet.src, country);
    if (this.#known.size >= Places.MAX_KNOWN) this.#known.clear();
    this.#known.set(packet.src, place);
    return place;
  }

  #find(source: string, [longitude, latitude, number]: readonly [number, number, number]): [number, number] {
    let seed = hash(source);
    const dice = () => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return seed / 2 ** 32;
    };
    const area = this.#shapes.get(number);
    if (area) {
      const [[west, south], [east, north]] = area.bounds;
      // A country over the date line has its western bound in the east.
      const width = east >= west ? east - west : east + 360 - west;
      for (let turn = 0; turn < Places.TRIES; turn += 1) {
        // The mean of two throws keeps to the middle, where people live more often than at the bounds.
        const x = west + (width * (dice() + dice())) / 2;
        const y = south + ((north - south) * (dice() + dice())) / 2;
        const place: [number, number] = [x > 180 ? x - 360 : x, y];
        if (geoContains(area.shape, place)) return place;
      }
    }
    return [longitude + (dice() - 0.5) * 0.8, latitude + (dice() - 0.5) * 0.8];
  }
}

/** Turns a tick's sample into arcs, spread over the slot as they arrived. */
export function arcsOf(tick: Tick, places: Places, sensors: Map<string, [number, number]>, now: number): Arc[] {
  const arcs: Arc[] = [];
  for (const packet of tick.sample) {
    const from = places.of(packet);
    if (!from) continue;
    arcs.push({ from, to: sensors.get(packet.sensor), kind: packet.kind, src: packet.src, born: now + packet.ms });
  }
  return arcs;
}

/** Progress of an arc from 0 to 1; undefined before it began and after it ended. */
export function progress(arc: Arc, now: number): number | undefined {
  const share = (now - arc.born) / ARC_LASTS;
  return share >= 0 && share <= 1 ? share : undefined;
}
