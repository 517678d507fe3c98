import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/core/errors.ts";
import { u32 } from "../../../src/runtime/host/frames.ts";
import { type AnswerCall, OpenCalls } from "../../../src/runtime/open-calls.ts";

interface Sent {
  readonly request: number;
  readonly head: unknown;
  readonly body: string;
}

function open(answer: AnswerCall): { calls: OpenCalls; sent: Sent[] } {
  const sent: Sent[] = [];
  const send = (request: number, head: Buffer, body: Uint8Array): void => {
    sent.push({ request, head: JSON.parse(head.toString()) as unknown, body: Buffer.from(body).toString() });
  };
  return { calls: new OpenCalls({ answer, send }), sent };
}

function call(request: number, head: string, body = ""): Buffer {
  return Buffer.concat([u32(request), Buffer.from([7]), u32(Buffer.byteLength(head)), Buffer.from(head), Buffer.from(body)]);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("what isolates ask for", () => {
  it("is answered, or said to have failed", async () => {
    const { calls, sent } = open(async ({ what, head, body }) => {
      await Promise.resolve();
      if (head === "bad") throw new MillraceError("FETCH_FAILED", "not there");
      if (head === "wrong") throw new TypeError("no URL");
      return { head: { what, head }, body };
    });
    calls.take(call(1, '"good"', "bytes"));
    calls.take(call(2, '"bad"'));
    calls.take(call(3, '"wrong"'));
    calls.take(call(4, "{no JSON"));
    await turn();
    expect(sent.toSorted((a, b) => a.request - b.request)).toEqual([
      { request: 1, head: { what: 7, head: "good" }, body: "bytes" },
      { request: 2, head: { error: { code: "FETCH_FAILED", message: "not there" } }, body: "" },
      { request: 3, head: { error: { code: "", message: "no URL" } }, body: "" },
      { request: 4, head: { what: 7 }, body: "" },
    ]);
  });

  it("is aborted and not answered when nobody waits any more, and answered when it is called off", async () => {
    const signals: AbortSignal[] = [];
    const { calls, sent } = open(
      ({ signal }) =>
        new Promise((_, reject) => {
          signals.push(signal);
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        }),
    );
    for (const request of [1, 2, 3]) calls.take(call(request, "null"));
    calls.callOff(2);
    calls.callOff(9);
    await turn();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false, true, false]);
    expect(sent.map(({ request }) => request)).toEqual([2]);
    calls.end();
    await turn();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true]);
    expect(sent).toHaveLength(1);
  });

  it("is bounded in number and in bytes", async () => {
    const { calls, sent } = open(() => new Promise(() => undefined));
    for (let request = 0; request < 1_001; request++) calls.take(call(request, "null"));
    expect(sent).toMatchObject([{ request: 1_000, head: { error: { code: "LIMIT_CALLS" } } }]);
    calls.end();
    const large = "x".repeat(8 * 2 ** 20);
    for (let request = 0; request < 6; request++) calls.take(call(request, "null", large));
    await turn();
    expect(sent.slice(1)).toMatchObject([4, 5].map((request) => ({ request, head: { error: { code: "LIMIT_CALLS" } } })));
  });

  it("that does not keep to the protocol is no call", () => {
    const { calls } = open(() => new Promise(() => undefined));
    expect(() => calls.take(Buffer.alloc(3))).toThrow(RangeError);
    expect(() => calls.take(Buffer.concat([u32(1), Buffer.from([0]), u32(10), Buffer.from("{}")]))).toThrow(RangeError);
  });
});
