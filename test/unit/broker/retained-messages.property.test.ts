import * as fc from "fast-check";
import { expect, it } from "vitest";
import { RetainedMessages } from "../../../src/broker/bounds/retained-messages.ts";
import { entryBytes } from "../../../src/broker/session-shelf.ts";
import type { SessionWrite } from "../../../src/broker/session-writes.ts";

const LIMITS = { messagesMax: 4, bytesMax: 2_500 };
const TOPICS = ["a", "b/c", "ü", "d", "e", "f"];

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("retain" as const),
      topic: fc.constantFrom(...TOPICS),
      length: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_200 })),
      expiry: fc.option(fc.integer({ min: 1, max: 100 }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("sweep" as const), now: fc.integer({ min: 1, max: 100 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
);

/** A disk. */
class Disk {
  readonly entries = new Map<string, Buffer>();

  async write(...writes: readonly SessionWrite[]): Promise<void> {
    await this.writeAll(writes);
  }

  async writeAll(writes: readonly SessionWrite[]): Promise<void> {
    for (const write of writes) {
      if (write.type === "put") this.entries.set(write.key, write.value);
      else this.entries.delete(write.key);
    }
  }

  get usage(): { messages: number; bytes: number } {
    return { messages: this.entries.size, bytes: [...this.entries].reduce((sum, [key, value]) => sum + entryBytes(key, value), 0) };
  }
}

type Newest = Map<string, { readonly payload: string; readonly expiry: number | undefined }>;

function expire(newest: Newest, now: number): void {
  for (const [topic, { expiry = Infinity }] of newest) if (expiry <= now) newest.delete(topic);
}

it("counters say what is on disk, which is within the bounds and has the newest value of each topic or none", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const disk = new Disk();
      const newest: Newest = new Map();
      const counts = { dropped: 0, expected: 0 };
      const open = (): RetainedMessages => new RetainedMessages({ limits: LIMITS, writes: disk, dropped: () => counts.dropped++ });
      let retained = open();
      for (const [index, each] of steps.entries()) {
        if (each.kind === "restart") {
          retained.close();
          retained = open();
          for (const [key, value] of disk.entries) retained.load(key, value);
        } else if (each.kind === "sweep") {
          await retained.sweep(each.now);
          expire(newest, each.now);
        } else {
          const { topic, length, expiry } = each;
          const payload = String(index).padEnd(length).slice(0, length);
          await retained.store({ topic, payload: Buffer.from(payload), ...(expiry === undefined ? {} : { messageExpiry: expiry }) });
          if (length === 0 || !disk.entries.has(`retained:${topic}`)) newest.delete(topic);
          else newest.set(topic, { payload, expiry });
          if (length > 0 && !disk.entries.has(`retained:${topic}`)) counts.expected++;
        }
        const { messages, bytes } = disk.usage;
        expect(retained.usage).toEqual({ messages, bytes });
        expect(messages).toBeLessThanOrEqual(LIMITS.messagesMax);
        expect(bytes).toBeLessThanOrEqual(LIMITS.bytesMax);
        expect([...disk.entries.keys()].toSorted()).toEqual([...newest.keys()].map((topic) => `retained:${topic}`).toSorted());
        for (const [topic, { payload }] of newest) expect(disk.entries.get(`retained:${topic}`)?.includes(payload)).toBe(true);
      }
      expect(counts.dropped).toBe(counts.expected);
      retained.close();
    }),
    { numRuns: 300 },
  );
});

it("nothing is refused for which there is room", async () => {
  const disk = new Disk();
  const dropped: string[] = [];
  const retained = new RetainedMessages({
    limits: { messagesMax: 3, bytesMax: 10_000 },
    writes: disk,
    dropped: (reason) => dropped.push(reason),
  });
  for (const topic of ["a", "b", "c"]) await retained.store({ topic, payload: Buffer.alloc(100) });
  expect([disk.usage.messages, dropped]).toEqual([3, []]);
  await retained.store({ topic: "d", payload: Buffer.alloc(1) });
  await retained.store({ topic: "c", payload: Buffer.alloc(20_000) });
  expect([[...disk.entries.keys()], dropped]).toEqual([
    ["retained:a", "retained:b"],
    ["retained-messages", "retained-bytes"],
  ]);
});
