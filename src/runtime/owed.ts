import type { UnderWatch } from "./host-watch.ts";

/**
 * What a host owes for one of its instances, oldest first, and until when. An answer that is not owed ends the watch over one that is, so whoever
 * gives it is not to be trusted any further.
 */
export class Owed implements UnderWatch {
  readonly deadlines: number[] = [];
  patienceMs: number;
  readonly #batches: number[] = [];
  #isLoading = true;

  constructor(patienceMs: number) {
    this.patienceMs = patienceMs;
  }

  load(deadline: number): void {
    this.deadlines.push(deadline);
  }

  /** @throws RangeError when it has been loaded before */
  loaded(): void {
    if (!this.#isLoading) throw new RangeError("an instance is loaded twice");
    this.#isLoading = false;
    this.deadlines.length = 0;
  }

  run(batch: number, deadline: number): void {
    this.#batches.push(batch);
    this.deadlines.push(deadline);
  }

  /** @throws RangeError when another batch comes first, or none */
  answered(batch: number): void {
    if (this.#batches[0] !== batch) throw new RangeError(`batch ${batch} is answered out of turn`);
    this.#batches.shift();
    this.deadlines.shift();
  }
}
