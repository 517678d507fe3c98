import type { Duplex } from "node:stream";
import type { Turn } from "./turn.ts";

/** What has arrived on a connection and is not parsed yet: a chunk most of the time, and one more before the stream is told to keep the rest. */
export class Chunks {
  readonly #stream: Duplex;
  readonly #turn: Turn;
  readonly #arrived: Buffer[] = [];
  /** Whether they wait for another turn. */
  #isLeft = false;
  #isPaused = false;
  readonly #goOn: () => void;

  /** `goOn` is called when there is something to be taken out. */
  constructor(stream: Duplex, turn: Turn, goOn: () => void) {
    this.#stream = stream;
    this.#turn = turn;
    this.#goOn = () => {
      this.#isLeft = false;
      goOn();
    };
    stream.on("data", (chunk: Buffer) => {
      this.#arrived.push(chunk);
      goOn();
    });
    stream.resume();
  }

  /** Takes out the next one, if this turn takes in more. */
  next(): Buffer | undefined {
    const [chunk] = this.#arrived;
    if (chunk === undefined || this.#isLeft) return undefined;
    if (this.#turn.takesIn(chunk.length)) return this.#arrived.shift();
    this.#isLeft = true;
    this.#turn.wait(this.#goOn);
    return undefined;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** To be called with whether nothing may be taken out now, before more arrives than the stream holds. */
  settle(isStopped: boolean): void {
    const pause = isStopped || this.#arrived.length > 1;
    if (pause === this.#isPaused) return;
    this.#isPaused = pause;
    if (pause) this.#stream.pause();
    else this.#stream.resume();
  }
}
