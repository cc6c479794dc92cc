// Something that is loaded from the hub: always in one of four states that a screen must draw.
import { Refusal } from './client';

export type State = 'loading' | 'failed' | 'ready';

export class Resource<T> {
  state = $state<State>('loading');
  value = $state.raw<T | undefined>(undefined);
  failure = $state.raw<Refusal | undefined>(undefined);
  /** True while newer data is on its way and older is shown. */
  refreshing = $state(false);
  #abort: AbortController | undefined;

  constructor(private readonly fetcher: (signal: AbortSignal) => Promise<T>) {}

  load = async (): Promise<void> => {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.refreshing = true;
    try {
      const value = await this.fetcher(abort.signal);
      if (abort.signal.aborted) return;
      this.value = value;
      this.state = 'ready';
      this.failure = undefined;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.failure = error instanceof Refusal ? error : new Refusal('unavailable', String(error), 0);
      this.state = 'failed';
    } finally {
      if (this.#abort === abort) this.refreshing = false;
    }
  };

  stop = (): void => this.#abort?.abort();
}
