import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Clock, systemClock } from "../../../src/core/clock.ts";
import { decodeLink } from "../../../src/core/link.ts";
import { type EventBatch, eventBatchSchema } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { UPLOAD_DEFAULTS, Uploader } from "../../../src/sync/uploader.ts";
import { temporaryFolder, TestOutbox } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

const HOUR_MS = 3_600_000;
const patiently = { interval: 20 };

/** Time that passes by `advance` alone; `step` sets the clock as a person or a time server does. */
class HandClock implements Clock {
  #elapsed = 0;
  #set = 1_700_000_000_000;
  #sleepers: { due: number; wake: () => void }[] = [];

  now(): number {
    return this.#set + this.#elapsed;
  }

  elapsed(): number {
    return this.#elapsed;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#sleepers.push({ due: this.#elapsed + ms, wake: resolve });
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    if (signal?.aborted) reject(signal.reason);
    return promise;
  }

  advance(ms: number): void {
    this.#elapsed += ms;
    const due = this.#sleepers.filter((sleeper) => sleeper.due <= this.#elapsed);
    this.#sleepers = this.#sleepers.filter((sleeper) => sleeper.due > this.#elapsed);
    for (const { wake } of due) wake();
  }

  step(ms: number): void {
    this.#set += ms;
  }
}

/** An uploader over an outbox, as one process has it, and what it sent. */
class Process {
  readonly sent: EventBatch[] = [];
  readonly uploader: Uploader;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;

  constructor(outbox: TestOutbox, clock: Clock = systemClock) {
    const publish = (payload: Uint8Array): void => {
      const batch = decodeLink(eventBatchSchema, payload);
      if (batch !== undefined) this.sent.push(batch);
    };
    const deps = { logger: silentLogger, clock, random: Math.random };
    this.uploader = new Uploader(outbox.outbox, publish, deps, { ...UPLOAD_DEFAULTS, compression: "none" });
    this.uploader.connected();
    this.#running = this.uploader.run(this.#end.signal);
  }

  /** Everything that was sent, in batches of ids. */
  async sending(batches: number): Promise<EventBatch[]> {
    await vi.waitUntil(() => this.sent.length >= batches, patiently);
    return this.sent;
  }

  async end(): Promise<void> {
    this.#end.abort();
    await this.#running;
  }
}

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let outbox: TestOutbox;
let current: Process | undefined;

beforeEach(async () => {
  folder = await temporaryFolder();
  outbox = await TestOutbox.open(folder.path);
});
afterEach(async () => {
  await current?.end();
  current = undefined;
  await outbox[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const idsOf = (batches: readonly EventBatch[]): string[] => batches.flatMap(({ events }) => events.map(({ id }) => id));

describe("an acknowledgement", () => {
  it("of what the process before has sent deletes nothing that this one sends", async () => {
    await outbox.add(10);
    current = new Process(outbox);
    const [before] = await current.sending(1);
    await current.end();
    await outbox.add(1, "1", { priority: 9, overflow: "block" });
    current = new Process(outbox);
    const [alarm] = await current.sending(2);
    expect(alarm?.events).toHaveLength(1);
    current.uploader.acked({ batch: before?.batch ?? 0, stored: 10, duplicates: 0, rejected: 0 });
    // The link breaks: nothing of what this process sent has arrived.
    current.uploader.disconnected();
    current.sent.length = 0;
    current.uploader.connected();
    expect(idsOf(await current.sending(2))).toContain(alarm?.events[0]?.id);
    expect(outbox.outbox.pending).toBe(11);
  });
});

describe("a clock that is set back", () => {
  it.each([HOUR_MS, 30 * 24 * HOUR_MS])("by %i ms does not keep a lost batch from being sent again", async (back) => {
    const clock = new HandClock();
    await outbox.add(10);
    current = new Process(outbox, clock);
    await current.sending(1);
    clock.step(-back);
    const { sent } = current;
    let steps = 0;
    await eventually(() => {
      if (++steps < 30) clock.advance(1_000);
      expect(sent.length).toBeGreaterThan(1);
    }, patiently);
    expect(idsOf(sent.slice(1, 2))).toEqual(idsOf(sent.slice(0, 1)));
  });
});
