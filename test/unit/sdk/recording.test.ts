import { writeFile } from "node:fs/promises";
import { defineFunction } from "millrace";
import { readRecording, testFunction } from "millrace/testing";
import { expect, it } from "vitest";
import { type RecordedMessage, toLine } from "../../../src/core/recording.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const HEADER = '{"millrace":"recording","version":1,"gateway":"g","recordedAt":"2026-11-21T00:00:00.000Z"}';

function message(seq: number, topic: string, text: string): RecordedMessage {
  const properties = { user: { unit: "C" } };
  return { seq, topic, time: seq * 1_000, qos: 1, retain: false, source: "s1", hops: 0, payload: Buffer.from(text), properties };
}

const recorded = [message(3, "in/a", '{"n":1}'), message(5, "else", "x"), message(9, "in/b", '{"n":2}'), message(11, "in/a", '{"n":3}')];

async function recording(folder: TempFolder): Promise<string> {
  const path = folder.join("r.jsonl");
  await writeFile(path, `${HEADER}\n${recorded.map((each) => `${JSON.stringify(toLine(each))}\n`).join("")}`);
  return path;
}

it("a recording runs through the test kit, message by message", async () => {
  await using folder = await TempFolder.make();
  const sum = defineFunction<{ n: number }>({
    async handler(event, ctx) {
      const n = ((await ctx.state.get<number>("n")) ?? 0) + event.data.n;
      ctx.state.set("n", n);
      ctx.emit("sum", { n, at: ctx.now(), from: event.source, unit: event.mqtt.properties.user?.["unit"] ?? null });
    },
  });
  const harness = testFunction(sum, { manifest: "name: sum\napi: 1\ntriggers:\n  - mqtt: in/+k\nkey: k\n" });
  const results = await harness.sendAll(readRecording(await recording(folder)));
  expect(results.flatMap(({ events }) => events.map(({ data }) => data))).toEqual([
    { n: 1, at: 3_000, from: "s1", unit: "C" },
    { n: 2, at: 9_000, from: "s1", unit: "C" },
    { n: 4, at: 11_000, from: "s1", unit: "C" },
  ]);
  expect(harness.state("a")).toEqual({ n: 4 });
});

it("a part of a recording can be picked by its topic", async () => {
  await using folder = await TempFolder.make();
  const seqs: number[] = [];
  for await (const each of readRecording(await recording(folder), { topic: "in/a" })) seqs.push(each.seq);
  expect(seqs).toEqual([3, 11]);
});

it("the first handler that throws ends it", async () => {
  const harness = testFunction(
    defineFunction<number>({
      handler(event) {
        if (event.data === 2) throw new Error("two");
      },
    }),
  );
  const messages = [1, 2, 3].map((payload) => ({ topic: "a", payload }));
  await expect(harness.sendAll(messages)).rejects.toThrow("two");
});
