import { defineFunction, type FunctionSetup } from "millrace";
import { testFunction } from "millrace/testing";
import { describe, expect, it } from "vitest";

const MANIFEST = "name: f\napi: 1\ntriggers:\n  - mqtt: in/+k\nkey: k\nstate: {version: 2}\n";

const migrate: FunctionSetup["migrate"] = (entries, from, ctx) => {
  ctx.log.info("migrated", { key: ctx.key, from, to: ctx.to });
  return { celsius: Number(entries.get("fahrenheit")) - 32 };
};
const definition = defineFunction<{ fail?: boolean }>({
  migrate,
  async handler(event, ctx) {
    ctx.emit("seen", [...(await ctx.state.list())]);
    ctx.state.set("n", 1);
    if (event.data.fail === true) throw new Error("told to fail");
  },
});

describe("state of an older version", () => {
  const older = { manifest: MANIFEST, stateVersion: 1, state: { a: { fahrenheit: 42 } }, shared: { fahrenheit: 32 } };

  it("is brought along with the first message of its key, and not when that fails", async () => {
    const tested = testFunction(definition, older);
    await expect(tested.send({ topic: "in/a", payload: { fail: true } })).rejects.toThrow("told to fail");
    expect([tested.state("a"), tested.shared()]).toEqual([{ fahrenheit: 42 }, { fahrenheit: 32 }]);
    const { events, logs } = await tested.send({ topic: "in/a", payload: {} });
    expect(events).toMatchObject([{ data: [["celsius", 10]] }]);
    expect(logs.map(({ fields }) => fields)).toEqual([
      { key: "a", from: 1, to: 2 },
      { key: undefined, from: 1, to: 2 },
    ]);
    expect([tested.state("a"), tested.shared()]).toEqual([{ celsius: 10, n: 1 }, { celsius: 0 }]);
    expect((await tested.send({ topic: "in/a", payload: {} })).logs).toEqual([]);
  });

  it("is there in a batch, of which a message that has failed changes nothing", async () => {
    const batch = defineFunction<{ fail?: boolean }>({
      migrate,
      batch: (events) => ({ failed: events.filter(({ data }) => data.fail === true) }),
    });
    const tested = testFunction(batch, { ...older, manifest: `${MANIFEST}batch: {size: 10}\n` });
    await tested.sendBatch([
      { topic: "in/a", payload: {} },
      { topic: "in/a", payload: { fail: true } },
    ]);
    expect(tested.state("a")).toEqual({ celsius: 10 });
  });

  it("is what the manifest says unless the test says otherwise, and refused when it is newer", async () => {
    const tested = testFunction(definition, { ...older, stateVersion: 2 });
    expect((await tested.send({ topic: "in/a", payload: {} })).events).toMatchObject([{ data: [["fahrenheit", 42]] }]);
    const newer = testFunction(definition, { ...older, stateVersion: 3 });
    await expect(newer.send({ topic: "in/a", payload: {} })).rejects.toMatchObject({ code: "STATE_NEWER" });
  });
});
