import { describe, expect, it } from "vitest";
import type { FailureReport } from "../../../src/core/failure-report.ts";
import { Core } from "../../support/core.ts";
import { functionOf, type TestFunction } from "../../support/functions.ts";
import { append, entryOf } from "../../support/journal.ts";

const onFailure = { publish: "errors/f", emit: "com.example.failed" };

function failing(name: string, from: string, to: string): TestFunction {
  return functionOf({ name, triggers: [from], onFailure: { publish: to }, retry: { attempts: 1 }, handler: `throw new Error('always');` });
}

describe("a message that is given up", () => {
  it("after its last try brings about what onFailure says, in the commit of its dead letter", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        onFailure,
        retry: { attempts: 2 },
        handler: `if (event.data < 0) throw new RangeError('negative'); ctx.emit('ok', 1);`,
      }),
      functionOf({ name: "watch", triggers: ["errors/#"], handler: `ctx.emit('seen', event.data);` }),
    );
    const time = Date.now();
    await core.send("in/a", -1, { source: "sensor-7", time });
    await core.send("in/b", 1);
    await core.drained();
    const report: FailureReport = {
      id: "g:1",
      gateway: "g",
      function: "f",
      version: 1,
      attempts: 2,
      code: "FUNCTION_THREW",
      error: "negative",
      topic: "in/a",
      key: "a",
      time,
      source: "sensor-7",
      payload: "-1",
      encoding: "utf8",
      payloadBytes: 2,
    };
    expect(await core.events("com.example.failed")).toEqual([
      { id: "g:1:f:65535", seq: 1, type: "com.example.failed", subject: "in/a", version: 1, data: report },
    ]);
    expect(core.published).toMatchObject([{ topic: "errors/f", source: "fn:f", hops: 1 }]);
    expect(JSON.parse(core.published[0]?.text ?? "")).toEqual(report);
    // Another function is woken by it once.
    expect((await core.events("seen")).map(({ data }) => data)).toEqual([report]);
    expect(await core.events("ok")).toHaveLength(1);
    expect(await core.deadLetters()).toMatchObject([{ seq: 1, attempts: 2, code: "FUNCTION_THREW" }]);
    expect(core.stats("f")).toMatchObject({ emitted: 2, published: 1, deadLettered: 1 });
  });

  it("at once, such as one with a payload that is none, does so too, and bytes come as base64", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ onFailure: { emit: "failed" }, handler: `ctx.emit('data', event.data);` }));
    await core.send("in/a", "no JSON");
    const payload = Buffer.from([0xff, 0, 1]);
    await append(core.journal, entryOf("in/a", "", { payload }));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toMatchObject([
      { code: "PAYLOAD_INVALID", attempts: 1, payload: "no JSON", encoding: "utf8" },
      { code: "PAYLOAD_INVALID", attempts: 1, payload: payload.toString("base64"), encoding: "base64", payloadBytes: 3 },
    ]);
    expect(core.published).toEqual([]);
  });

  it("passes on its trace", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({ onFailure, retry: { attempts: 1 }, handler: `throw new Error('always');` }),
      functionOf({ name: "watch", triggers: ["errors/#"], handler: `ctx.emit('seen', event.trace.traceparent);` }),
    );
    const id = "0af7651916cd43dd8448eb211c80319c";
    await core.send("in/a", 1, { properties: { user: { traceparent: `00-${id}-b7ad6b7169203331-01` } } });
    await core.drained();
    expect(await core.events("seen")).toMatchObject([{ data: expect.stringContaining(id) as string }]);
  });

  it("wakes others no more than the hops allow, which the log says", async () => {
    await using core = await Core.temporary();
    await core.deploy(failing("ping", "ping", "pong"), failing("pong", "pong", "ping"));
    await core.send("ping", "0");
    await core.drained();
    expect(core.published).toHaveLength(16);
    expect(await core.deadLetters()).toHaveLength(17);
    const { records } = core.runtime.logs.query({ level: "error", limit: 1_000, text: "LIMIT_HOPS" });
    expect(records).toMatchObject([{ function: "ping", message: expect.stringContaining('does not publish to "pong"') as string }]);
  });

  it("wakes those who listen to its event, and no more of them than the hops allow", async () => {
    await using core = await Core.temporary();
    const handler = `throw new Error('always');`;
    const retry = { attempts: 1 };
    await core.deploy(
      functionOf({ name: "ping", triggers: ["in/a"], also: [{ event: "ping" }], onFailure: { emit: "pong" }, retry, handler }),
      functionOf({ name: "pong", triggers: [], also: [{ event: "pong" }], onFailure: { emit: "ping" }, retry, handler }),
    );
    await core.send("in/a", "0");
    await core.drained();
    expect(await core.deadLetters()).toHaveLength(17);
    expect(await core.events()).toHaveLength(17);
    const { records } = core.runtime.logs.query({ level: "error", limit: 1_000, text: "LIMIT_HOPS" });
    expect(records).toMatchObject([{ function: "ping", message: expect.stringContaining('"pong" of onFailure wakes nothing') as string }]);
  });
});
