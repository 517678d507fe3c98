import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../../src/core/log.ts";
import type { JournalPage } from "../../../src/http/journal-pages.ts";
import { type HttpServer, startHttp } from "../../../src/http/server.ts";
import { Parts } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

let parts: Parts;
let http: HttpServer;

beforeEach(async () => {
  parts = new Parts();
  http = await startHttp({ host: "127.0.0.1", port: 0, payloadBytesMax: 1000 }, parts, { logger: silentLogger });
});
afterEach(() => http.close());

async function page(query: Record<string, string | number>): Promise<JournalPage> {
  const text = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)]));
  const answer = await fetch(`${http.address}/v1/journal?${text.toString()}`);
  return (await answer.json()) as JournalPage;
}

const seqs = ({ messages }: JournalPage): number[] => messages.map(({ seq }) => seq);

describe("the journal over HTTP", () => {
  it("is handed out in pages that go on from each other", async () => {
    for (let seq = 1; seq <= 7; seq++) parts.append(seq, seq % 2 === 0 ? "even" : "odd", `m${seq}`);
    const first = await page({ topic: "odd", limit: 2 });
    expect(first).toEqual({
      messages: [1, 3].map((seq) => ({
        seq,
        time: new Date(seq * 1_000).toISOString(),
        topic: "odd",
        qos: 1,
        retain: false,
        source: "test",
        payload: `m${seq}`,
      })),
      next: { from: "4", start: 4 },
      state: "more",
    });
    const second = await page({ topic: "odd", limit: 2, ...first.next });
    expect([seqs(second), second.state]).toEqual([[5, 7], "end"]);
    expect(await page({ topic: "odd", limit: 2, ...second.next })).toEqual({ messages: [], next: { from: "8", start: 8 }, state: "end" });
  });

  it("is cut by seq and by time", async () => {
    for (let seq = 1; seq <= 6; seq++) parts.append(seq, "a");
    expect(await page({ from: 2, to: 4 })).toMatchObject({ state: "over", next: { from: "4", to: "4" } });
    const timed = { from: new Date(2_500).toISOString(), to: new Date(5_000).toISOString() };
    expect(seqs(await page(timed))).toEqual([3, 4]);
    const inSteps = await page({ ...timed, limit: 1 });
    expect(seqs(inSteps)).toEqual([3]);
    expect(await page({ ...timed, ...inSteps.next })).toMatchObject({ messages: [{ seq: 4 }], state: "over" });
    expect(seqs(await page({ from: "-1h" }))).toEqual([]);
  });

  it("goes on looking for a time over pages that find nothing", async () => {
    for (let seq = 1; seq <= 20_600; seq++) parts.append(seq, "a");
    const from = new Date(20_500_500).toISOString();
    const first = await page({ from });
    expect([first.messages, first.state, first.next.from]).toEqual([[], "more", from]);
    expect(seqs(await page({ ...first.next, limit: 2 }))).toEqual([20_501, 20_502]);
  });

  it("ends a page at its bytes", async () => {
    for (let seq = 1; seq <= 12; seq++) parts.append(seq, "a", "x".repeat(1_000_000));
    const first = await page({ limit: 100 });
    expect([seqs(first).length, first.state]).toEqual([5, "more"]);
    expect(seqs(await page({ ...first.next }))[0]).toBe(6);
  });

  it("says which message is the oldest when those asked for are gone", async () => {
    for (const seq of [40, 41]) parts.append(seq, "a");
    expect((await page({ from: 3 })).oldest).toBe(40);
    expect((await page({ from: 40 })).oldest).toBeUndefined();
    expect((await page({})).oldest).toBeUndefined();
  });

  it("waits for a message when asked to, and not for those that are not there any more", async () => {
    parts.append(1, "a");
    const waiting = page({ from: 2, wait: 1 });
    await eventually(() => expect(parts.waitingForMessages).toBe(1));
    parts.append(2, "a");
    expect(await waiting).toMatchObject({ messages: [{ seq: 2 }], state: "end" });
    const client = new AbortController();
    const gone = fetch(`${http.address}/v1/journal?from=3&wait=1`, { signal: client.signal });
    await eventually(() => expect(parts.waitingForMessages).toBe(1));
    client.abort();
    await expect(gone).rejects.toThrow(/abort/);
    await eventually(() => expect(parts.waitingForMessages).toBe(0));
  });

  it("lets nobody wait who would keep it from closing", async () => {
    const waiting = page({ wait: 1 });
    await eventually(() => expect(parts.waitingForMessages).toBe(1));
    await http.close();
    expect(await waiting).toMatchObject({ messages: [], state: "end" });
  });

  it.each([["from=soon"], ["to=1h"], ["topic=a%2F%23%2Fb"], ["limit=0"], ["limt=3"], ["start=-1"]])("refuses %s", async (query) => {
    const answer = await fetch(`${http.address}/v1/journal?${query}`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: expect.stringMatching(/REQUEST_INVALID|TOPIC_FILTER_INVALID/) as string } });
  });
});
