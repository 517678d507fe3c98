import { backoffMs, type Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import type { OutboxEvent } from "../core/event.ts";
import { aborted } from "../core/lifecycle.ts";
import { encodeLink } from "../core/link.ts";
import type { EventAck } from "../core/link-messages.ts";
import type { Logger } from "../core/log.ts";
import { nextBatch, type OutboxRow } from "./upload-batch.ts";
import { expiresAt, hasRoom, initialUploadState, stepUpload, type UploadInput, type UploadState } from "./upload-state.ts";

/** The events that the cloud has not confirmed. Positions start at 1, increase and are never used again. */
export interface Outbox {
  /** The oldest events behind `after`, at most `max`. */
  read(after: number, max: number): Promise<readonly { readonly position: number; readonly event: OutboxEvent }[]>;
  /** Deletes every event up to and with this position. */
  remove(upTo: number): Promise<void>;
  /** Resolves once there is an event behind `after`; rejects or resolves when aborted. */
  waitForMore(after: number, signal: AbortSignal): Promise<void>;
}

const READ_EVENTS = 1000;
/** How long a few new events wait for company: a batch costs both sides far more than an event. */
const GATHER_MS = 20;
const RETRY = { minMs: 500, maxMs: 30_000 };

export interface UploaderDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Sends the outbox to the control plane and trims what is confirmed; `upload-state.ts` says what follows what. */
export class Uploader {
  readonly #outbox: Outbox;
  readonly #publish: (payload: Uint8Array) => void;
  readonly #deps: UploaderDeps;
  #state: UploadState = initialUploadState;
  /** Aborted and replaced whenever the state changes in a way that ends a wait. */
  #changed = new AbortController();
  #batches = 0;
  #removed = 0;

  constructor(outbox: Outbox, publish: (payload: Uint8Array) => void, deps: UploaderDeps) {
    this.#outbox = outbox;
    this.#publish = publish;
    this.#deps = deps;
  }

  /** Events confirmed since the start: new in the store or there already, and those that can never be stored. */
  get counters(): { uploaded: number; rejected: number } {
    return { uploaded: this.#state.uploaded, rejected: this.#state.rejected };
  }

  connected(): void {
    this.#step({ kind: "connected" });
  }

  disconnected(): void {
    this.#step({ kind: "disconnected" });
  }

  acked({ batch, stored, duplicates, rejected }: EventAck): void {
    this.#step({ kind: "acked", batch, uploaded: stored + duplicates, rejected });
    if (rejected > 0) this.#deps.logger.warn({ rejected }, "the control plane rejected events; its log says why");
  }

  /** Runs until aborted. A failing outbox is logged and tried again. */
  async run(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; !signal.aborted;) {
      try {
        await this.#turn(signal);
        attempt = 1;
      } catch (error) {
        if (signal.aborted) return;
        this.#deps.logger.error({ err: error }, `the outbox cannot be uploaded: ${messageOf(error)}`);
        await this.#wait(backoffMs(attempt++, RETRY, this.#deps.random), signal);
      }
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    await this.#trim();
    const state = this.#state;
    if (state.kind === "offline" || !hasRoom(state)) return this.#waitForChange(signal);
    const rows = await this.#outbox.read(state.cursor, READ_EVENTS);
    // What was read belongs to the state it was read for.
    if (this.#state !== state) return;
    if (rows.length > 0) return this.#sendAll(rows, state.cursor, signal);
    const changed = this.#changed.signal;
    // With batches on their way, their acknowledgements or the lack of them must wake this loop too.
    const more = this.#outbox.waitForMore(state.cursor, AbortSignal.any([signal, changed]));
    await this.#race(more, signal);
    if (!signal.aborted && !changed.aborted) await this.#wait(GATHER_MS, signal);
  }

  /** Sends rows as long as the window has room and nothing makes them stale. */
  async #sendAll(rows: readonly OutboxRow[], cursor: number, signal: AbortSignal): Promise<void> {
    let at = 0;
    let expected = cursor;
    while (at < rows.length && !signal.aborted) {
      if (this.#state.kind === "offline" || this.#state.cursor !== expected) return;
      if (hasRoom(this.#state)) {
        const { events, last, oversized, next } = nextBatch(rows, at);
        this.#send(events, last, oversized);
        at = next;
        expected = last;
      } else {
        await this.#waitForChange(signal);
        await this.#trim();
      }
    }
  }

  #send(events: readonly OutboxEvent[], last: number, oversized: number): void {
    const batch = ++this.#batches;
    if (oversized > 0) this.#deps.logger.error({ events: oversized }, "events are too large for the link and are dropped");
    if (events.length > 0) this.#publish(encodeLink({ batch, events: [...events] }));
    this.#step({ kind: "sent", batch, last, at: this.#deps.clock.now(), oversized, acked: events.length === 0 });
  }

  async #trim(): Promise<void> {
    while (this.#state.trimmed > this.#removed) {
      const { trimmed } = this.#state;
      await this.#outbox.remove(trimmed);
      this.#removed = trimmed;
    }
  }

  #step(input: UploadInput): void {
    const before = this.#state;
    this.#state = stepUpload(before, input);
    if (this.#state === before || input.kind === "sent") return;
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  /** Until an acknowledgement, a change of the link, or the time at which the oldest batch is given up. */
  async #waitForChange(signal: AbortSignal): Promise<void> {
    await this.#race(new Promise(() => undefined), signal);
  }

  /** Waits for `event`, a change, the end, or the expiry of the oldest batch, which it applies. */
  async #race(event: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const deadline = expiresAt(this.#state);
    const over = new AbortController();
    const ending = AbortSignal.any([signal, this.#changed.signal, over.signal]);
    const waits = [event.catch((error: unknown) => failUnless(ending, error)), aborted(ending)];
    if (deadline !== undefined) waits.push(this.#wait(Math.max(0, deadline - this.#deps.clock.now()), ending));
    try {
      await Promise.race(waits);
    } finally {
      over.abort();
    }
    if (deadline === undefined || this.#deps.clock.now() < deadline || expiresAt(this.#state) !== deadline) return;
    this.#deps.logger.warn("the control plane did not confirm events in time; they are sent again");
    this.#step({ kind: "expired" });
  }

  async #wait(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#deps.clock.sleep(ms, signal);
    } catch (error) {
      failUnless(signal, error);
    }
  }
}

/** An aborted wait is an ordinary end; anything else is an error. */
function failUnless(signal: AbortSignal, error: unknown): void {
  if (!signal.aborted) throw error;
}
