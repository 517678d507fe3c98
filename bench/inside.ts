import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Cursor } from "../src/core/cursor.ts";
import { Drops } from "../src/core/drops.ts";
import { silentLogger } from "../src/core/log.ts";
import { encodeMessage } from "../src/core/message.ts";
import { Journal } from "../src/journal/journal.ts";
import { Runtime } from "../src/runtime/runtime.ts";
import type { BenchOptions } from "./options.ts";

/** Messages that are on their way at once, and how many are handed in without a look at that. */
const OUTSTANDING_MAX = 8_192;
const AT_ONCE = 256;
const FILLED_AT_ONCE = 1_000;

/** What is sent to one function. */
export interface Flow {
  readonly function: string;
  topic(n: number): string;
  readonly payload: string;
  /** The time of the message; now unless given. */
  time?(n: number): number;
}

export interface Flowed {
  readonly perSecond: number;
  readonly emittedPerSecond: number;
}

/** Journal and runtime in this process, with hosts as in a gateway and no broker. Events are dropped as they come. */
export class Inside implements AsyncDisposable {
  readonly runtime: Runtime;
  readonly #journal: Journal;
  readonly #own: AsyncDisposableStack;
  #sent = 0;

  private constructor(journal: Journal, runtime: Runtime, own: AsyncDisposableStack) {
    this.#journal = journal;
    this.runtime = runtime;
    this.#own = own;
  }

  static async open(folder: string): Promise<Inside> {
    await using own = new AsyncDisposableStack();
    const journal = own.use(await Journal.open({ location: join(folder, "inside"), batchMax: 256 }));
    const runtime = own.use(
      await Runtime.start({ gateway: "bench", hosts: 1, pendingMax: 16_384, drops: new Drops() }, journal, silentLogger),
    );
    journal.subscribe({
      incoming: (messages) => runtime.accept(messages),
      publishes: (number) => journal.delivered(number),
    });
    runtime.begin();
    return new Inside(journal, runtime, own.move());
  }

  /** Stores a value under each of so many keys, before the function is deployed. */
  async fill(functionName: string, keys: readonly string[], name: string, value: string): Promise<void> {
    const bytes = Buffer.from(value);
    for (let at = 0; at < keys.length; at += FILLED_AT_ONCE) {
      const state = keys.slice(at, at + FILLED_AT_ONCE).map((key) => ({ key, name, value: bytes }));
      const commit = { consumer: functionName, cursor: new Cursor(this.#journal.nextSeq), state };
      await new Promise<void>((resolve, reject) => {
        const none = { events: [], publishes: [], derived: [], deadLetters: [] };
        this.#journal.commit({ ...commit, ...none }, (error) => (error === undefined ? resolve() : reject(error)));
      });
    }
  }

  /** As many messages as are handled in the time that the options name, after a warm-up. */
  async flow(flow: Flow, { warmUp, seconds }: Pick<BenchOptions, "warmUp" | "seconds">): Promise<Flowed> {
    this.#sent = this.#counted(flow).handled;
    await this.#send(flow, warmUp);
    const [before, startedAt] = [this.#counted(flow), performance.now()];
    await this.#send(flow, seconds);
    const [after, tookS] = [this.#counted(flow), (performance.now() - startedAt) / 1_000];
    while (this.#counted(flow).handled < this.#sent) await sleep(5);
    return { perSecond: (after.handled - before.handled) / tookS, emittedPerSecond: (after.emitted - before.emitted) / tookS };
  }

  async #send(flow: Flow, seconds: number): Promise<void> {
    const until = performance.now() + seconds * 1_000;
    while (performance.now() < until) {
      if (this.#sent - this.#counted(flow).handled > OUTSTANDING_MAX) await sleep(1);
      else for (let i = 0; i < AT_ONCE; i++) this.#append(flow, this.#sent++);
      await new Promise(setImmediate);
    }
  }

  #append(flow: Flow, n: number): void {
    const [topic, time] = [flow.topic(n), flow.time?.(n) ?? Date.now()];
    const message = { topic, payload: Buffer.from(flow.payload), qos: 1, retain: false, time, source: "bench", hops: 0 } as const;
    this.#journal.append({ topic, time, hops: 0, record: encodeMessage(message) }, (error) => {
      if (error !== undefined) throw error;
    });
  }

  #counted(flow: Flow): { readonly handled: number; readonly emitted: number } {
    const found = this.runtime.stats().functions.find(({ name }) => name === flow.function);
    if (found === undefined) throw new Error(`there is no function ${flow.function}`);
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }
}
