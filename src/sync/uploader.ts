import { promisify } from "node:util";
import { zstdCompress } from "node:zlib";
import { backoffMs, type Clock } from "../core/clock.ts";
import { messageOf } from "../core/errors.ts";
import { aborted } from "../core/lifecycle.ts";
import { encodeEventBatch } from "../core/link.ts";
import type { EventAck } from "../core/link-messages.ts";
import type { Logger } from "../core/log.ts";
import type { Stretch } from "./upload-order.ts";
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX, cutBatch, type BatchLimits, type OutboxRow } from "./upload-batch.ts";
import { expiresAt, hasRoom, initialUploadState, nextStretch, stepUpload, type UploadInput, type UploadState } from "./upload-state.ts";

/** The events that the cloud has not confirmed, in lanes. Positions start at 1, increase over all lanes and are never used again. */
export interface Outbox {
  /** The newest position of each lane; 0 where there is none. */
  tails(): readonly number[];
  /** The oldest events of a lane behind `after`; fewer than allowed only when there are no more. */
  rows(lane: number, after: number, max: BatchLimits): Promise<readonly OutboxRow[]>;
  /** Deletes these events and no others. */
  remove(rows: readonly OutboxRow[]): Promise<void>;
  /** The same for events that may not be sent any more. */
  expire(rows: readonly OutboxRow[]): Promise<void>;
  /** Resolves once there is an event behind `after` in any lane; rejects or resolves when aborted. */
  waitForMore(after: number, signal: AbortSignal): Promise<void>;
}

export interface UploadOptions {
  /** Percent of the batches that the backlog gets while there are live events of the same priority. */
  readonly backlogShare: number;
  /** Bytes each second on the link; 0 for as many as there are. */
  readonly rateMax: number;
  readonly compression: "zstd" | "none";
}

export const UPLOAD_DEFAULTS: UploadOptions = { backlogShare: 20, rateMax: 0, compression: "zstd" };

/** Smaller batches are not worth compressing. */
const COMPRESS_BYTES_MIN = 1_024;
/** How long a few new events wait for company: a batch costs both sides far more than an event. */
const GATHER_MS = 20;
const RETRY = { minMs: 500, maxMs: 30_000 };
/**
 * A process counts its batches from anywhere below this, so that an acknowledgement for the process before, which may still come, names none of
 * them. Far more numbers remain behind it than a process can use.
 */
const FIRST_BATCH_MAX = 2 ** 52;

const compress = promisify(zstdCompress);

export interface UploaderDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Sends the outbox to the control plane and deletes what is confirmed; `upload-state.ts` says what follows what. */
export class Uploader {
  readonly #outbox: Outbox;
  readonly #publish: (payload: Uint8Array) => void;
  readonly #options: UploadOptions;
  readonly #limits: BatchLimits;
  readonly #deps: UploaderDeps;
  #state: UploadState = initialUploadState;
  /** Aborted and replaced whenever the state changes in a way that ends a wait. */
  #changed = new AbortController();
  /** Increases whenever what was read or prepared for sending has to be read anew. */
  #epoch = 0;
  #batch: number;
  /** What is on its way, by batch, and what is confirmed but not deleted yet. */
  readonly #flying = new Map<number, readonly OutboxRow[]>();
  #confirmed: OutboxRow[] = [];
  /** When the rate allows the next batch, as the clock's `elapsed`. */
  #freeAt = 0;

  constructor(outbox: Outbox, publish: (payload: Uint8Array) => void, deps: UploaderDeps, options: UploadOptions = UPLOAD_DEFAULTS) {
    this.#outbox = outbox;
    this.#publish = publish;
    this.#deps = deps;
    this.#options = options;
    this.#batch = Math.floor(deps.random() * FIRST_BATCH_MAX);
    // With a low rate a batch is what may be sent in a second, so that something urgent does not wait for longer.
    const bytes = options.rateMax === 0 ? BATCH_BYTES_MAX : Math.min(BATCH_BYTES_MAX, options.rateMax);
    this.#limits = { events: BATCH_EVENTS_MAX, bytes };
  }

  /** Events confirmed since the start: new in the store or there already, and those that can never be stored. */
  get counters(): { uploaded: number; rejected: number } {
    return { uploaded: this.#state.uploaded, rejected: this.#state.rejected };
  }

  connected(): void {
    this.#restart({ kind: "connected", tails: this.#outbox.tails() });
  }

  disconnected(): void {
    this.#restart({ kind: "disconnected" });
  }

  acked({ batch, stored, duplicates, rejected }: EventAck): void {
    const rows = this.#flying.get(batch);
    if (rows === undefined) return;
    this.#flying.delete(batch);
    this.#confirmed.push(...rows);
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
    // Before anything is read: what is confirmed must not be read again.
    await this.#trim();
    if (!hasRoom(this.#state)) return this.#race(new Promise(() => undefined), signal);
    const waitMs = this.#freeAt - this.#deps.clock.elapsed();
    if (waitMs > 0) return this.#race(this.#wait(waitMs, AbortSignal.any([signal, this.#changed.signal])), signal);
    const tails = this.#outbox.tails();
    const next = nextStretch(this.#state, tails, this.#options.backlogShare);
    if (next !== undefined) return this.#upload(next.stretch, next.contention);
    const changed = this.#changed.signal;
    // With batches on their way, their acknowledgements or the lack of them must wake this loop too.
    const more = this.#outbox.waitForMore(Math.max(0, ...tails), AbortSignal.any([signal, changed]));
    await this.#race(more, signal);
    if (!signal.aborted && !changed.aborted) await this.#wait(GATHER_MS, signal);
  }

  async #upload(stretch: Stretch, contention: number): Promise<void> {
    const epoch = this.#epoch;
    const rows = await this.#outbox.rows(stretch.lane, stretch.after, this.#limits);
    const { send, expired, last } = cutBatch(rows, stretch, this.#limits, this.#deps.clock.now());
    if (expired.length > 0) await this.#outbox.expire(expired);
    const batch = ++this.#batch;
    const payload = send.length === 0 ? undefined : await this.#encode(batch, send);
    // What was read belongs to the connection it was read for.
    if (this.#epoch !== epoch) return;
    if (payload === undefined) return this.#step({ kind: "passed", stretch: { ...stretch, last } });
    this.#flying.set(batch, send);
    const at = this.#deps.clock.elapsed();
    this.#step({ kind: "sent", batch, stretch: { ...stretch, last }, at, contention });
    if (this.#options.rateMax > 0) this.#freeAt = at + (payload.length / this.#options.rateMax) * 1_000;
    this.#publish(payload);
  }

  async #encode(batch: number, rows: readonly OutboxRow[]): Promise<Buffer> {
    const payload = encodeEventBatch(
      batch,
      rows.map(({ event }) => event),
    );
    return this.#options.compression === "none" || payload.length < COMPRESS_BYTES_MIN ? payload : compress(payload);
  }

  async #trim(): Promise<void> {
    while (this.#confirmed.length > 0) {
      const rows = this.#confirmed;
      this.#confirmed = [];
      try {
        await this.#outbox.remove(rows);
      } catch (error) {
        this.#confirmed = [...rows, ...this.#confirmed];
        throw error;
      }
    }
  }

  /** Nothing is on its way any more: what was is read and sent again. */
  #restart(input: Exclude<UploadInput, { kind: "sent" | "passed" | "acked" }>): void {
    this.#epoch += 1;
    this.#flying.clear();
    this.#step(input);
  }

  #step(input: UploadInput): void {
    const before = this.#state;
    this.#state = stepUpload(before, input);
    if (this.#state === before || input.kind === "sent" || input.kind === "passed") return;
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  /** Waits for `event`, a change, the end, or the expiry of the oldest batch, which it applies. */
  async #race(event: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const deadline = expiresAt(this.#state);
    const over = new AbortController();
    const ending = AbortSignal.any([signal, this.#changed.signal, over.signal]);
    const waits = [event.catch((error: unknown) => failUnless(ending, error)), aborted(ending)];
    if (deadline !== undefined) waits.push(this.#wait(Math.max(0, deadline - this.#deps.clock.elapsed()), ending));
    try {
      await Promise.race(waits);
    } finally {
      over.abort();
    }
    if (deadline === undefined || this.#deps.clock.elapsed() < deadline || expiresAt(this.#state) !== deadline) return;
    this.#deps.logger.warn("the control plane did not confirm events in time; they are sent again");
    this.#restart({ kind: "expired" });
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
