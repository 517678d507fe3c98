/** The last of so many parts of the time without anything to do ends it, so it takes up to half as long again. */
const PARTS = 2;
/** What nothing needs ends after that time: when many functions are deployed at once, all of their isolates do not fit into a host. */
const UNUSED_MS = 1_000;

interface IdleParts {
  readonly idleMs: number;
  isBusy(): boolean;
  /** There has been nothing to do for that long. */
  idle(): void;
}

/** Notices when there is nothing to do for a while. Being told of work costs nothing but a write. */
export class Idle {
  readonly #parts: IdleParts;
  #timer: NodeJS.Timeout | undefined;
  /** Times in a row that it has looked without having been told of work. */
  #quiet = 0;
  #stopped = false;

  constructor(parts: IdleParts) {
    this.#parts = parts;
  }

  /** There is something to do. */
  busy(): void {
    this.#quiet = 0;
    if (this.#timer === undefined && !this.#stopped) this.#schedule(this.#parts.idleMs);
  }

  /** There is something that is of use only if there is something to do soon. */
  expect(): void {
    this.#quiet = PARTS;
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#schedule(PARTS * Math.min(UNUSED_MS, this.#parts.idleMs));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(idleMs: number): void {
    this.#timer = setTimeout(() => this.#look(), Math.ceil(idleMs / PARTS)).unref();
  }

  #look(): void {
    this.#timer = undefined;
    this.#quiet = this.#parts.isBusy() ? 0 : this.#quiet + 1;
    if (this.#quiet > PARTS) this.#parts.idle();
    else this.#schedule(this.#parts.idleMs);
  }
}
