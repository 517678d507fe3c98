import { backoffMs } from "../core/clock.ts";
import type { Fault } from "./host/frames.ts";
import type { InstanceEvents, InstanceHandle } from "./hosts.ts";
import type { LaneOwner } from "./lane-owner.ts";

const LOAD_BACKOFF = { minMs: 10, maxMs: 10_000 };

interface InstanceListener {
  result(batch: number, results: Buffer): void;
  cut(batch: number, cut: { fault: Fault; finished: number; elapsedMs: number; results: Buffer }): void;
  lost(fault: Fault): void;
  /** There is one again. */
  ready(): void;
}

/** The isolate of a lane: made, listened to, and made anew when it is lost. */
export class Instance {
  readonly #owner: Pick<LaneOwner, "load" | "loadFailed" | "loadState">;
  readonly #listener: InstanceListener;
  #handle: InstanceHandle | undefined;
  #loading = false;
  #closed = false;
  #loadAttempts = 0;
  /** What came from it while results could not be settled yet. */
  #unheard: (() => void)[] | undefined;

  constructor(owner: Pick<LaneOwner, "load" | "loadFailed" | "loadState">, listener: InstanceListener) {
    this.#owner = owner;
    this.#listener = listener;
  }

  /** Undefined as long as there is none. */
  get handle(): InstanceHandle | undefined {
    return this.#handle;
  }

  /** @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  async warm(): Promise<void> {
    this.#handle = await this.#owner.load(this.#events());
  }

  /** Makes it as soon as that succeeds, however long it takes. */
  recover(): void {
    if (this.#handle === undefined && !this.#closed) void this.#reload();
  }

  /** Gives it up for a new one. */
  replace(): void {
    this.#unload();
    this.recover();
  }

  close(): void {
    this.#closed = true;
    this.#unload();
  }

  /** Calls `settle` when `preparing` is through, and holds back what the instance says until then. */
  settleAfter(preparing: Promise<void> | undefined, settle: () => void): void {
    if (preparing === undefined) return settle();
    this.#unheard = [];
    const go = (): void => {
      const events = this.#unheard ?? [];
      this.#unheard = undefined;
      settle();
      for (const event of events) this.#inTurn(event);
    };
    preparing.then(go, () => undefined); // The journal has failed and the gateway is stopping; the messages are handled again after that.
  }

  #unload(): void {
    this.#handle?.unload();
    this.#handle = undefined;
  }

  #events(): InstanceEvents {
    return {
      result: (id, results) => this.#inTurn(() => this.#listener.result(id, results)),
      cut: (id, cut) => this.#inTurn(() => this.#listener.cut(id, cut)),
      lost: (reason) => {
        const fault = { code: "HOST_CRASHED", message: `the host process died: ${reason}` };
        this.#inTurn(() => this.#listener.lost(fault));
      },
      stateGet: (request, keys) => {
        const handle = this.#handle;
        this.#owner.loadState(keys).then(
          (entries) => handle?.stateLoaded(request, entries),
          // The journal has failed and the gateway is stopping; the message is handled again after that.
          () => undefined,
        );
      },
    };
  }

  /** What an instance says is taken in order; while its results cannot be settled yet, the rest waits. */
  #inTurn(event: () => void): void {
    if (this.#unheard === undefined) event();
    else this.#unheard.push(event);
  }

  async #reload(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    while (!this.#closed && this.#handle === undefined) {
      try {
        const handle = await this.#owner.load(this.#events());
        if (this.#closed) handle.unload();
        else this.#handle = handle;
        this.#loadAttempts = 0;
      } catch (error) {
        this.#owner.loadFailed(error);
        const wait = backoffMs(++this.#loadAttempts, LOAD_BACKOFF);
        await new Promise<void>((resolve) => setTimeout(resolve, wait).unref());
      }
    }
    this.#loading = false;
    this.#listener.ready();
  }
}
