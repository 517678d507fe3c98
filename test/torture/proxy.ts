import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { once as runOnce } from "../../src/core/lifecycle.ts";

const SLOW_DELAY_MS = 150;

const CUTS = { good: "no", slow: "no", away: "no", mute: "answers", cut: "both" } as const;

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  /** Which way bytes disappear, for ever: what was lost once must not be followed by something else. */
  cut: "no" | "answers" | "both";
}

/** A TCP proxy whose network can fail: between gateway and control plane, and between clients and gateway. */
export class FaultyNetwork implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #to: number;
  #mode: keyof typeof CUTS = "good";
  readonly close: () => Promise<void>;

  private constructor(server: Server, to: number) {
    this.#server = server;
    this.#to = to;
    server.on("connection", (near) => this.#accept(near));
    this.close = runOnce(async () => {
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      this.reset();
      await closed;
    });
  }

  static async open(to: number): Promise<FaultyNetwork> {
    const server = createServer({ allowHalfOpen: false }).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FaultyNetwork(server, to);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Packets disappear without a word: no FIN, no RST, and nobody is told. */
  cut(): void {
    this.#mode = "cut";
    for (const pair of this.#pairs) pair.cut = "both";
  }

  /** Only what is answered disappears. */
  mute(): void {
    this.#mode = "mute";
    for (const pair of this.#pairs) if (pair.cut === "no") pair.cut = "answers";
  }

  slow(): void {
    this.#mode = "slow";
  }

  /** New connections work again. Those that were cut stay dead until one side gives them up. */
  heal(): void {
    this.#mode = "good";
  }

  /** Works again, and ends every connection, which both sides notice at once. */
  reset(): void {
    this.heal();
    this.#endAll();
  }

  /** Ends every connection, and every new one at once. */
  away(): void {
    this.#mode = "away";
    this.#endAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #endAll(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }

  #accept(near: Socket): void {
    if (this.#mode === "away") {
      near.destroy();
      return;
    }
    const pair: Pair = { near, far: connect(this.#to, "127.0.0.1"), cut: CUTS[this.#mode] };
    this.#pairs.add(pair);
    this.#pump(pair, near, pair.far);
    this.#pump(pair, pair.far, near);
  }

  #pump(pair: Pair, from: Socket, to: Socket): void {
    from.setNoDelay(true);
    let last: Promise<unknown> = Promise.resolve();
    from.on("data", (chunk: Buffer) => {
      if (pair.cut === "both") return;
      if (this.#mode !== "slow") {
        last = last.then(() => this.#pass(pair, to, chunk));
        return;
      }
      from.pause();
      last = this.#passLater(pair, { from, to, chunk, after: last });
    });
    from.on("error", () => undefined); // A broken connection is what this is for; "close" follows.
    from.on("close", () => {
      // A cut connection tells the other side nothing.
      if (pair.cut === "no") void last.then(() => to.destroySoon());
      if (pair.near.destroyed && pair.far.destroyed) this.#pairs.delete(pair);
    });
  }

  async #passLater(pair: Pair, way: { from: Socket; to: Socket; chunk: Buffer; after: Promise<unknown> }): Promise<void> {
    await way.after;
    await sleep(SLOW_DELAY_MS);
    this.#pass(pair, way.to, way.chunk);
    way.from.resume();
  }

  #pass(pair: Pair, to: Socket, chunk: Buffer): void {
    const lost = pair.cut === "both" || (pair.cut === "answers" && to === pair.near);
    if (!lost && !to.destroyed) to.write(chunk);
  }
}
