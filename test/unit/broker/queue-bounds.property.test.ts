import * as fc from "fast-check";
import { expect, it } from "vitest";
import { QueueBounds } from "../../../src/broker/bounds/queue-bounds.ts";
import { queueKey } from "../../../src/broker/session-shelf.ts";

const LIMITS = { messagesMax: 5, bytesMax: 2_000, totalBytesMax: 4_000 };
const CLIENTS = ["a", "b:1", "c d"];

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("add" as const), client: fc.nat(2), bytes: fc.integer({ min: 100, max: 900 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("add" as const), client: fc.nat(2), bytes: fc.constant(2_500) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("send" as const), client: fc.nat(2), at: fc.nat(10) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("acknowledge" as const), client: fc.nat(2), at: fc.nat(10) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("keepUp" as const), client: fc.nat(2), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), client: fc.nat(2) }) },
);

interface Entry {
  readonly number: number;
  readonly bytes: number;
  sent: boolean;
}

/** The rules as docs/mqtt.md has them, without any care for speed. */
class Model {
  readonly queues = new Map<string, Entry[]>(CLIENTS.map((client) => [client, []]));
  readonly keepingUp = new Set<string>();

  of(client: string): Entry[] {
    return this.queues.get(client) ?? [];
  }

  waiting(client: string): Entry[] {
    return this.of(client).filter(({ sent }) => !sent);
  }

  get bytes(): number {
    return sum([...this.queues.values()].flat());
  }

  remove(client: string, number: number): void {
    this.queues.set(
      client,
      this.of(client).filter((entry) => entry.number !== number),
    );
  }

  add(client: string, number: number, bytes: number): string[] {
    this.of(client).push({ number, bytes, sent: false });
    const gone: string[] = [];
    const drop = (from: string, entry: Entry | undefined): void => {
      this.remove(from, entry?.number ?? 0);
      gone.push(queueKey(from, "g", entry?.number ?? 0));
    };
    const isOver = (): boolean => this.waiting(client).length > LIMITS.messagesMax || sum(this.waiting(client)) > LIMITS.bytesMax;
    if (isOver() && !this.keepingUp.has(client)) {
      if (bytes > LIMITS.bytesMax) drop(client, this.of(client).at(-1));
      while (isOver()) drop(client, this.waiting(client)[0]);
    }
    if (this.bytes <= LIMITS.totalBytesMax) return gone;
    while (this.bytes > (LIMITS.totalBytesMax * 63) / 64) {
      const candidates = [...this.queues.keys()].filter((each) => !this.keepingUp.has(each) && this.waiting(each).length > 0);
      const [most] = candidates.toSorted((a, b) => sum(this.waiting(b)) - sum(this.waiting(a)));
      if (most === undefined) break;
      const half = sum(this.waiting(most)) / 2;
      while (this.bytes > (LIMITS.totalBytesMax * 63) / 64 && sum(this.waiting(most)) > half) drop(most, this.waiting(most)[0]);
    }
    return gone;
  }
}

function sum(entries: readonly Entry[]): number {
  return entries.reduce((total, { bytes }) => total + bytes, 0);
}

it("what goes at a bound is what the rules say, and every message is counted once", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const model = new Model();
      let dropped = 0;
      const bounds = new QueueBounds({ gateway: "g", limits: LIMITS, dropped: () => dropped++ });
      bounds.spare((client) => model.keepingUp.has(client));
      let number = 0;
      const expected: string[] = [];
      const found: string[] = [];
      for (const each of steps) {
        const client = CLIENTS[each.client] ?? "";
        const entries = model.of(client);
        const entry = "at" in each ? entries[each.at % Math.max(1, entries.length)] : undefined;
        if (each.kind === "add") {
          expected.push(...model.add(client, ++number, each.bytes));
          found.push(...bounds.add(client, number, each.bytes).map(({ key }) => key));
        } else if (each.kind === "keepUp") {
          if (each.on) model.keepingUp.add(client);
          else model.keepingUp.delete(client);
        } else if (each.kind === "end") {
          model.queues.set(client, []);
          bounds.clear(client);
        } else if (entry !== undefined && each.kind === "send") {
          entry.sent = true;
          bounds.sent(client, entry.number);
        } else if (entry !== undefined) {
          model.remove(client, entry.number);
          bounds.removed(client, entry.number);
        }
        const kept = [...model.queues.values()].flat();
        expect(bounds.usage).toEqual({ messages: kept.length, bytes: model.bytes });
        for (const [name, own] of model.queues) for (const { number: known } of own) expect(bounds.isGone(name, known)).toBe(false);
      }
      expect(found).toEqual(expected);
      expect(dropped).toBe(expected.length);
    }),
    { numRuns: 500 },
  );
});
