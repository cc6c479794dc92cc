// The live feed: server-sent events with resume. The browser reconnects by itself and tells where it stopped.
import type { Tick } from './client';

export class LiveFeed {
  connected = $state(false);
  failed = $state(false);
  /** Ticks that were lost to this viewer since it opened the page. */
  missed = $state(0);
  last = $state.raw<Tick | undefined>(undefined);
  #source: EventSource | undefined;
  #listeners = new Set<(tick: Tick) => void>();

  /** Opens the feed; `recent` asks for that many ticks before the present. */
  open(recent = 0): void {
    this.close();
    const source = new EventSource(recent ? `/api/v1/live?recent=${recent}` : '/api/v1/live');
    this.#source = source;
    source.onopen = () => {
      this.connected = true;
      this.failed = false;
    };
    source.onerror = () => {
      this.connected = false;
      this.failed = true;
    };
    source.addEventListener('tick', (event) => {
      const tick = JSON.parse((event as MessageEvent<string>).data) as Tick;
      this.last = tick;
      for (const listener of this.#listeners) listener(tick);
    });
    source.addEventListener('missed', (event) => {
      this.missed += (JSON.parse((event as MessageEvent<string>).data) as { ticks: number }).ticks;
    });
  }

  onTick(listener: (tick: Tick) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#source?.close();
    this.#source = undefined;
    this.connected = false;
  }
}
