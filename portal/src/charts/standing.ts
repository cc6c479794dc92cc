// What stands out in the last minute of the live feed, in the words of the trade: a scan wave, a flood, carpet bombing.
// For the eye only: findings come from the detectors. Bounded, independent of the drawing.
import type { LivePacket, Tick } from '../api/client';
import { CARPET_FROM, networkOf, WINDOW_SECONDS } from './tiles';

export type What = 'wave' | 'flood' | 'carpet';

export interface Standing {
  what: What;
  /** Where it leads: a port, an address, a prefix. */
  name: string;
  /** Colour: the kind of most of its packets. */
  kind: string;
  /** Sources of a wave, victims of carpet bombing, one victim of a flood. */
  hosts: number;
  /** Packets a second, estimated from the sample. */
  rate: number;
  /** A packet of it, for its place on the map. */
  example: Pick<LivePacket, 'src' | 'country'>;
}

/** Sources that look for one port before it is called a wave, and its share of all probes: what is always sought by
 * many (telnet on a usual day: a fifth) is no wave. */
export const WAVE_SOURCES = 15;
export const WAVE_SHARE = 0.3;
/** Answers of one victim a second (estimated), and their share of all packets, before it is called a flood. */
export const FLOOD_RATE = 1;
export const FLOOD_SHARE = 0.03;
/** Victims of one prefix before it is called carpet bombing: more than a tile needs, for this is said aloud. */
export const CARPET_VICTIMS = 2 * CARPET_FROM;
export const MOST = 4;

interface Slot {
  at: number;
  seconds: number;
  /** Packets that each of the sample stands for. */
  weight: number;
  packets: number;
  sample: LivePacket[];
}

export class StandingBoard {
  #slots: Slot[] = [];

  take(tick: Tick): void {
    const at = Number(tick.at) * 1000;
    this.#slots.push({ at, seconds: tick.seconds, weight: tick.packets / (tick.sample.length || 1), packets: tick.packets, sample: tick.sample });
    const oldest = at - WINDOW_SECONDS * 1000;
    while ((this.#slots[0]?.at ?? at) <= oldest) this.#slots.shift();
  }

  /** What stands out, the largest first. */
  now(): Standing[] {
    const seconds = this.#slots.reduce((sum, slot) => sum + slot.seconds, 0) || 1;
    const all = this.#slots.reduce((sum, slot) => sum + slot.packets, 0) || 1;
    const ports = new Map<number, { sources: Set<string>; packets: number; infected: number; example: LivePacket }>();
    const victims = new Map<string, { packets: number; example: LivePacket }>();
    let probes = 0;
    for (const { weight, sample } of this.#slots) {
      for (const packet of sample) {
        if (packet.kind === 'backscatter') {
          const victim = victims.get(packet.src) ?? { packets: 0, example: packet };
          victim.packets += weight;
          victims.set(packet.src, victim);
        } else if ((packet.kind === 'scan' || packet.kind === 'infected') && packet.dport != null) {
          probes += weight;
          const port = ports.get(packet.dport) ?? { sources: new Set(), packets: 0, infected: 0, example: packet };
          port.sources.add(packet.src);
          port.packets += weight;
          if (packet.kind === 'infected') port.infected += weight;
          ports.set(packet.dport, port);
        }
      }
    }
    const found: Standing[] = [];
    for (const [port, { sources, packets, infected, example }] of ports) {
      if (sources.size < WAVE_SOURCES || packets < WAVE_SHARE * probes) continue;
      found.push({ what: 'wave', name: String(port), kind: infected * 2 > packets ? 'infected' : 'scan', hosts: sources.size, rate: packets / seconds, example });
    }
    const nets = new Map<string, string[]>();
    for (const victim of victims.keys()) {
      const net = networkOf(victim);
      nets.set(net, [...(nets.get(net) ?? []), victim]);
    }
    for (const [net, members] of nets) {
      const hit = members.map((member) => victims.get(member)).filter((one) => one !== undefined);
      const packets = hit.reduce((sum, one) => sum + one.packets, 0);
      const first = hit[0];
      if (members.length >= CARPET_VICTIMS && first) {
        found.push({ what: 'carpet', name: net, kind: 'backscatter', hosts: members.length, rate: packets / seconds, example: first.example });
        continue;
      }
      for (const member of members) {
        const one = victims.get(member);
        if (!one || one.packets < FLOOD_SHARE * all || one.packets / seconds < FLOOD_RATE) continue;
        found.push({ what: 'flood', name: member, kind: 'backscatter', hosts: 1, rate: one.packets / seconds, example: one.example });
      }
    }
    return found.sort((a, b) => b.rate - a.rate || a.name.localeCompare(b.name)).slice(0, MOST);
  }
}
