import { array, assert, constantFrom, integer, nat, oneof, property, record, tuple } from "fast-check";
import { describe, expect, it } from "vitest";
import { laneOfRule, LANES } from "../../../src/core/outbox-lanes.ts";
import type { Stretch } from "../../../src/sync/upload-order.ts";
import {
  ACK_TIMEOUT_MS,
  expiresAt,
  hasRoom,
  initialUploadState,
  nextStretch,
  stepUpload,
  type UploadInput,
  type UploadState,
  WINDOW_BATCHES_MAX,
} from "../../../src/sync/upload-state.ts";

const LANE = laneOfRule({ priority: 5, overflow: "block" });
const BESIDE = laneOfRule({ priority: 5, overflow: "drop-oldest" });
const URGENT = laneOfRule({ priority: 9, overflow: "drop-oldest" });

function tailsOf(...lanes: readonly (readonly [lane: number, last: number])[]): number[] {
  const tails = Array.from({ length: LANES }, () => 0);
  for (const [lane, last] of lanes) tails[lane] = last;
  return tails;
}

const stretch = (after: number, last: number): Stretch => ({ stream: "backlog", lane: LANE, after, last });
const sent = (batch: number, what: Stretch, at = 0): UploadInput => ({ kind: "sent", batch, stretch: what, at, contention: 0 });
const acked = (batch: number): UploadInput => ({ kind: "acked", batch, uploaded: 5, rejected: 1 });
const online: UploadInput = { kind: "connected", tails: tailsOf([LANE, 100]) };
const after = (...inputs: UploadInput[]): UploadState => inputs.reduce(stepUpload, initialUploadState);
const next = (state: UploadState, tails = tailsOf([LANE, 100]), share = 20): Stretch | undefined =>
  nextStretch(state, tails, share)?.stretch;

/** Sends `count` events of a stretch at a time, and says from which stream and lane they came. */
function order(tails: number[], share: number, batches: number): string[] {
  let state = after({ kind: "connected", tails: tailsOf([LANE, 100], [URGENT, 0]) });
  const seen: string[] = [];
  for (let batch = 1; batch <= batches; batch++) {
    const found = nextStretch(state, tails, share);
    if (found === undefined) break;
    const what = { ...found.stretch, last: found.stretch.after + 1 };
    seen.push(`${what.stream}${what.lane === URGENT ? "!" : ""}`);
    state = stepUpload(state, { kind: "sent", batch, stretch: what, at: 0, contention: found.contention });
    state = stepUpload(state, acked(batch));
  }
  return seen;
}

describe("upload state", () => {
  it("goes on behind what was sent, and takes an acknowledged batch out whatever the order", () => {
    const two = after(online, sent(1, stretch(0, 10)), sent(2, stretch(10, 20)));
    expect(next(two)).toEqual(stretch(20, 100));
    expect(stepUpload(two, acked(2))).toMatchObject({ window: [{ batch: 1 }], uploaded: 5, rejected: 1 });
  });

  it("sends everything unconfirmed again after the link was down, and takes nothing that comes late", () => {
    const state = after(online, sent(1, stretch(0, 10)), sent(2, stretch(10, 20)), acked(1), { kind: "disconnected" }, online);
    expect(next(state)).toEqual(stretch(0, 100));
    expect(stepUpload(state, acked(2))).toBe(state);
  });

  it("sends what was on its way again when nothing came in time, with doubled patience", () => {
    const waiting = after(online, sent(1, stretch(0, 10)), sent(2, stretch(10, 20), 1_000), acked(1));
    expect(expiresAt(waiting)).toBe(1_000 + ACK_TIMEOUT_MS);
    const expired = stepUpload(waiting, { kind: "expired" });
    expect(next(expired)).toEqual(stretch(10, 100));
    expect(expiresAt(stepUpload(expired, sent(3, stretch(10, 20), 50_000)))).toBe(50_000 + 2 * ACK_TIMEOUT_MS);
  });

  it("has room for a full window and no more, and for nothing while offline", () => {
    const full = after(online, ...Array.from({ length: WINDOW_BATCHES_MAX }, (_, n) => sent(n, stretch(n, n + 1))));
    expect(hasRoom(full)).toBe(false);
    expect(hasRoom(stepUpload(full, acked(0)))).toBe(true);
    expect(hasRoom(initialUploadState)).toBe(false);
    expect(next(initialUploadState, tailsOf())).toBeUndefined();
  });

  it("passes over a stretch in which nothing is left", () => {
    expect(next(after(online, { kind: "passed", stretch: stretch(0, 100) }))).toBeUndefined();
  });
});

describe("whose turn it is", () => {
  it("is that of the most urgent, also when it is backlog", () => {
    const state = after({ kind: "connected", tails: tailsOf([LANE, 100], [URGENT, 50]) });
    expect(next(state, tailsOf([LANE, 200], [URGENT, 50]))).toMatchObject({ lane: URGENT, stream: "backlog" });
    expect(order(tailsOf([LANE, 200], [URGENT, 2]), 20, 3)).toEqual(["live!", "live!", "live"]);
  });

  it.each([
    [20, ["live", "live", "live", "live", "backlog", "live", "live", "live", "live", "backlog"]],
    [50, ["live", "backlog", "live", "backlog", "live", "backlog", "live", "backlog", "live", "backlog"]],
    [0, Array.from({ length: 10 }, () => "live")],
    [100, Array.from({ length: 10 }, () => "backlog")],
  ])("gives the backlog its share of %i percent while there are live events", (share, expected) => {
    expect(order(tailsOf([LANE, 200]), share, 10)).toEqual(expected);
  });

  it.each(["live", "backlog"])("is that of each lane of a priority in turn (%s), also with something more urgent in between", (stream) => {
    const much = tailsOf([LANE, 100], [BESIDE, 100]);
    let state = after({ kind: "connected", tails: stream === "live" ? tailsOf() : much });
    const lanes: number[] = [];
    for (let batch = 1; batch <= 12; batch++) {
      const found = nextStretch(state, batch % 2 === 0 ? much : much.with(URGENT, batch), 20);
      if (found === undefined) break;
      const what = { ...found.stretch, last: found.stretch.after + 1 };
      if (what.lane === URGENT) what.last = batch;
      else lanes.push(what.lane);
      state = stepUpload(state, { kind: "sent", batch, stretch: what, at: 0, contention: found.contention });
      state = stepUpload(state, acked(batch));
    }
    expect(lanes).toEqual([LANE, BESIDE, LANE, BESIDE, LANE, BESIDE]);
  });

  it("is all the backlog's while nothing new comes, and counts for nothing then", () => {
    expect(order(tailsOf([LANE, 100]), 20, 200)).toEqual(Array.from({ length: 100 }, () => "backlog"));
  });
});

describe("whatever happens", () => {
  const lane = constantFrom(LANE, BESIDE, URGENT);
  const step = oneof(
    constantFrom("connect" as const, "disconnect" as const, "expire" as const, "send" as const, "send" as const),
    record({ ack: nat({ max: 40 }) }),
    record({ add: tuple(lane, integer({ min: 1, max: 3 })) }),
  );

  it("no event is passed over: whoever drains the outbox at last has sent each, and none is confirmed that was not sent", () => {
    assert(
      property(array(step, { maxLength: 150 }), integer({ min: 0, max: 100 }), (steps, share) => {
        const world = new World(share);
        for (const one of steps) world.step(one);
        world.drain();
        expect(world.waiting).toEqual([]);
      }),
    );
  });
});

type Step = "connect" | "disconnect" | "expire" | "send" | { ack: number } | { add: [number, number] };

/** An outbox with positions only, and a control plane that acknowledges what it is told to. */
class World {
  waiting: { lane: number; position: number }[] = [];
  readonly #share: number;
  readonly #tails = tailsOf();
  readonly #sent = new Map<number, { lane: number; position: number }[]>();
  #state: UploadState = initialUploadState;
  #position = 0;
  #batches = 0;

  constructor(share: number) {
    this.#share = share;
  }

  step(step: Step): void {
    if (step === "connect") this.#restart({ kind: "connected", tails: [...this.#tails] });
    else if (step === "disconnect") this.#restart({ kind: "disconnected" });
    else if (step === "expire") this.#restart({ kind: "expired" });
    else if (step === "send") this.#send();
    else if ("ack" in step) this.#ack(step.ack);
    else for (let n = 0; n < step.add[1]; n++) this.#add(step.add[0]);
  }

  drain(): void {
    this.step("connect");
    for (let n = 0; n < 1_000 && this.waiting.length > 0; n++) {
      this.#send();
      this.#ack(this.#batches);
    }
  }

  #add(lane: number): void {
    this.waiting.push({ lane, position: ++this.#position });
    this.#tails[lane] = this.#position;
  }

  #send(): void {
    if (!hasRoom(this.#state)) return;
    const found = nextStretch(this.#state, this.#tails, this.#share);
    if (found === undefined) return;
    const { stream, lane, after: from, last } = found.stretch;
    const rows = this.waiting.filter((row) => row.lane === lane && row.position > from && row.position <= last).slice(0, 2);
    const upTo = rows.length < 2 ? last : (rows.at(-1)?.position ?? last);
    const taken: Stretch = { stream, lane, after: from, last: upTo };
    if (rows.length === 0) return void (this.#state = stepUpload(this.#state, { kind: "passed", stretch: taken }));
    this.#sent.set(++this.#batches, rows);
    this.#state = stepUpload(this.#state, { ...found, kind: "sent", batch: this.#batches, stretch: taken, at: 0 });
  }

  #ack(batch: number): void {
    const before = this.#state;
    this.#state = stepUpload(before, acked(batch));
    if (this.#state === before) return;
    const rows = this.#sent.get(batch) ?? [];
    this.waiting = this.waiting.filter((row) => !rows.includes(row));
  }

  #restart(input: UploadInput): void {
    this.#state = stepUpload(this.#state, input);
  }
}
