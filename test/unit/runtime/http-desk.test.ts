import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CallReply, type CallRequest, CALLS_MAX } from "../../../src/core/http-call.ts";
import { decodeMessage } from "../../../src/core/message.ts";
import { filterOf } from "../../../src/core/trigger-filters.ts";
import type { TriggerSpec } from "../../../src/core/triggers.ts";
import { type DeskParts, HttpDesk } from "../../../src/runtime/http-desk.ts";
import { RouteTable } from "../../../src/runtime/route.ts";
import { HandClock } from "../../support/hand-clock.ts";

type Entry = Parameters<DeskParts["journal"]["append"]>[0];

function callable(name: string, ...routes: readonly string[]): Parameters<HttpDesk["check"]>[0] {
  const triggers: TriggerSpec[] = routes.map((http) => ({ http, answer: "sync" }));
  return { name, manifest: { triggers, limits: { wallMs: 1_000 } } };
}

/** A desk before a journal that takes what it is given when it is told to. */
class Desk {
  readonly clock = new HandClock(1_000);
  readonly entries: { entry: Entry; done: (error?: Error) => void }[] = [];
  held = false;
  readonly desk: HttpDesk;
  wake: "none" | "durable" = "durable";

  constructor(...functions: readonly Parameters<HttpDesk["check"]>[0][]) {
    const isHeld = (): boolean => this.held;
    const ticks = {
      get held(): boolean {
        return isHeld();
      },
    };
    const append = (entry: Entry, done: (error?: Error) => void): void => {
      this.entries.push({ entry, done });
    };
    this.desk = new HttpDesk({ gateway: "g", clock: this.clock, journal: { ticks, append }, wakes: () => this.wake });
    this.desk.update(functions);
  }

  call(method: string, path: string, signal = new AbortController().signal): Promise<CallReply> {
    const segments = path.slice(1).split("/");
    const target = this.desk.find(method, segments);
    if (target.kind !== "found") throw new Error(target.kind);
    const details = { method, path, query: {}, headers: { traceparent: "00-1-2-01" } };
    const request: CallRequest = { details, segments, contentType: undefined, body: Buffer.from("b") };
    return this.desk.call(target, request, signal);
  }
}

describe("a request", () => {
  it("waits for what becomes of its message, from before anybody can handle it", async () => {
    const world = new Desk(callable("f", "POST /a/:id"));
    const { desk, entries } = world;
    const reply = world.call("POST", "/a/x+y");
    const [{ entry, done } = { entry: undefined, done: () => undefined }] = entries;
    entry?.placed(7);
    desk.give(7, { kind: "error", code: "FUNCTION_THREW", message: "no" });
    done();
    expect(await reply).toEqual({ id: "g:7", result: { kind: "error", code: "FUNCTION_THREW", message: "no" } });
    expect(entry?.topic).toBe("$millrace/http/f/POST/a/x%2By");
    expect(decodeMessage(entry?.record ?? Buffer.alloc(0))).toMatchObject({ properties: { user: { traceparent: "00-1-2-01" } } });
  });

  it("that is only to be accepted waits until its message is durable, and fails when it cannot be", async () => {
    const manifest = { triggers: [{ http: "POST /a", answer: "accepted" as const }], limits: { wallMs: 1_000 } };
    const world = new Desk({ name: "f", manifest });
    const replies: unknown[] = [];
    const [first, second] = [world.call("POST", "/a"), world.call("POST", "/a")];
    void first.then((reply) => replies.push(reply));
    for (const [index, { entry }] of world.entries.entries()) entry.placed(7 + index);
    await new Promise((resolve) => setImmediate(resolve));
    expect(replies).toEqual([]);
    world.entries[0]?.done();
    expect(await first).toEqual({ id: "g:7" });
    world.entries[1]?.done(new Error("the disk is full"));
    await expect(second).rejects.toThrow("the disk is full");
  });

  it("ends when it takes too long, and its place is free again", async () => {
    const world = new Desk(callable("f", "GET /a"));
    const all = Array.from({ length: CALLS_MAX }, () => world.call("GET", "/a"));
    await expect(world.call("GET", "/a")).rejects.toMatchObject({ code: "TOO_MANY_CALLS" });
    world.clock.advance(2_000);
    const ends = await Promise.allSettled(all);
    expect(new Set(ends.map((end) => (end.status === "rejected" ? (end.reason as { code: string }).code : "")))).toEqual(
      new Set(["CALL_TIMEOUT"]),
    );
    const again = world.call("GET", "/a");
    world.entries.at(-1)?.entry.placed(9);
    world.desk.give(9, { kind: "answer", answer: { status: 204, headers: [], body: Buffer.alloc(0) } });
    expect(await again).toMatchObject({ id: "g:9" });
  });

  it("is not taken while the journal takes nothing", async () => {
    const world = new Desk(callable("f", "GET /a"));
    world.held = true;
    await expect(world.call("GET", "/a")).rejects.toMatchObject({ code: "JOURNAL_FULL" });
    world.held = false;
    world.wake = "none";
    await expect(world.call("GET", "/a")).rejects.toMatchObject({ code: "JOURNAL_FULL" });
    expect(world.entries).toEqual([]);
  });

  it("that its caller has given up waits no longer", async () => {
    const world = new Desk(callable("f", "GET /a"));
    const gone = new AbortController();
    const reply = world.call("GET", "/a", gone.signal);
    gone.abort(new Error("gone"));
    await expect(reply).rejects.toThrow("gone");
  });
});

const segment = fc.constantFrom("a", "b", ":x", ":y");
const path = fc.array(segment, { minLength: 1, maxLength: 3 });

/** What a path leaves open, from the left. */
function open(segments: readonly string[]): string {
  return segments.map((each) => (each.startsWith(":") ? "1" : "0")).join("");
}

it("what is nearly a route is named, unless it is longer than a person writes: comparing that would hold up everybody", () => {
  const { desk } = new Desk(callable("f", "GET /device/:id"));
  expect(desk.find("GET", ["devise", "7"])).toEqual({ kind: "none", nearest: "/device/:id" });
  expect(desk.find("GET", ["devise", "7".repeat(10_000)])).toEqual({ kind: "none" });
});

it("a route that is found is one whose filter matches the message that comes of it", () => {
  fc.assert(
    fc.property(
      fc.array(path, { minLength: 1, maxLength: 5 }),
      fc.array(fc.constantFrom("a", "b", "+c", "d#", "%2F"), { maxLength: 3 }),
      (paths, asked) => {
        const names = paths.map((segments) => segments.map((each, index) => (each.startsWith(":") ? `${each}${index}` : each)));
        const functions = names.map((segments, index) => callable(`f${index}`, `GET,PUT /${segments.join("/")}`));
        const world = new Desk(...functions);
        const target = world.desk.find("PUT", asked);
        const fits = (segments: readonly string[]): boolean =>
          segments.length === asked.length && segments.every((each, index) => each.startsWith(":") || each === asked[index]);
        expect(target.kind === "found").toBe(names.some(fits));
        if (target.kind !== "found") return;
        void world.call("PUT", `/${asked.join("/")}`).catch(() => undefined);
        const topic = world.entries[0]?.entry.topic ?? "";
        const table = new RouteTable(
          functions.flatMap(({ name, manifest }) =>
            manifest.triggers.map((trigger, index) => ({
              owner: name,
              index,
              filter: filterOf(trigger, name),
              key: undefined,
              durable: true,
            })),
          ),
        );
        expect(table.match(topic).map(({ owner }) => owner)).toEqual([target.function]);
        // Nothing less open was passed over.
        const chosen = names[Number(target.function.slice(1))] ?? [];
        for (const other of names.filter(fits)) expect(open(chosen) <= open(other)).toBe(true);
      },
    ),
  );
});
