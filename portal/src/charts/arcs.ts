// What moves on the map: packets on their way from a country to a sensor. Bounded, independent of the drawing.
import type { LivePacket, Tick } from '../api/client';
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

/** Longitude and latitude of a source: near its country's centre, always the same spot for the same source. */
export function placeOf(packet: Pick<LivePacket, 'src' | 'country'>): [number, number] | undefined {
  const country = packet.country ? COUNTRIES[packet.country] : undefined;
  if (!country) return undefined;
  const seed = hash(packet.src);
  const spread = 2.4;
  return [country[0] + ((seed % 1000) / 1000 - 0.5) * spread, country[1] + (((seed >>> 10) % 1000) / 1000 - 0.5) * spread];
}

/** Turns a tick's sample into arcs, spread over the slot as they arrived. */
export function arcsOf(tick: Tick, sensors: Map<string, [number, number]>, now: number): Arc[] {
  const arcs: Arc[] = [];
  for (const packet of tick.sample) {
    const from = placeOf(packet);
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
