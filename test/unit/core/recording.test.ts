import { writeFile } from "node:fs/promises";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PROPERTIES_BYTES_MAX } from "../../../src/core/message.ts";
import { parseHeader, parseLine, type RecordedMessage, toLine } from "../../../src/core/recording.ts";
import { openRecording } from "../../../src/core/recording-file.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const HEADER = '{"millrace":"recording","version":1,"gateway":"g","recordedAt":"2026-11-21T00:00:00.000Z"}';
const message: RecordedMessage = {
  seq: 7,
  time: 1_000,
  topic: "in/a",
  qos: 1,
  retain: false,
  source: "c1",
  hops: 0,
  payload: Buffer.from("é"),
};

describe("a line", () => {
  it("reads like this", () => {
    expect(JSON.stringify(toLine({ ...message, properties: { contentType: "text/plain", user: { a: ["1", "2"] } } }))).toBe(
      '{"seq":7,"time":"1970-01-01T00:00:01.000Z","topic":"in/a","qos":1,"retain":false,"source":"c1",' +
        '"properties":{"contentType":"text/plain","user":{"a":["1","2"]}},"payload":"é"}',
    );
    expect(toLine({ ...message, payload: Buffer.from([0xff, 0]) })).toMatchObject({ payloadBase64: "/wA=" });
  });

  it("keeps every byte of every message", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    const arbitrary = fc.record({
      seq: fc.nat(),
      time: fc.nat({ max: Date.parse("9999-12-31T23:59:59.999Z") }),
      topic: fc.constantFrom("a", "sensors/milan/é", "a//b"),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      retain: fc.boolean(),
      source: text,
      hops: fc.nat({ max: 255 }),
      properties: fc.record({ contentType: text, user: fc.dictionary(text, fc.oneof(text, fc.array(text))) }, { requiredKeys: [] }),
      payload: fc
        .oneof(
          fc.uint8Array(),
          text.map((each) => new TextEncoder().encode(each)),
        )
        .map((bytes) => Buffer.from(bytes)),
    });
    const kept = fc.property(arbitrary, (each) => {
      expect(parseLine(JSON.stringify(toLine(each)), "x")).toEqual(each);
    });
    fc.assert(kept);
  });

  it.each([
    ["{", /not JSON/],
    [{ topic: "a/+" }, /topic: a wildcard/],
    [{ topic: "" }, /topic: it is empty/],
    [{ time: 5 }, /time/],
    [{ seq: -1 }, /seq/],
    [{ qos: 3 }, /qos/],
    [{ payloadBase64: "" }, /exactly one of payload/],
    [{ payload: undefined }, /exactly one of payload/],
    [{ payload: undefined, payloadBase64: "*" }, /payloadBase64/],
    [{ properties: { user: { a: 1 } } }, /properties\.user: not an object of texts/],
    [{ properties: { user: ["a"] } }, /properties\.user/],
    [{ properties: { user: { a: "x".repeat(PROPERTIES_BYTES_MAX) } } }, /properties are longer/],
  ])("%# is refused with its place", (change, reason) => {
    const text = typeof change === "string" ? change : JSON.stringify({ ...toLine(message), ...change });
    expect(() => parseLine(text, "file:3")).toThrow(reason);
    expect(() => parseLine(text, "file:3")).toThrow(/^file:3: /);
  });
});

describe("a header", () => {
  it("is read, with members of later versions", () => {
    expect(parseHeader(HEADER.replace("}", ',"later":1}'), "x")).toMatchObject({ gateway: "g", version: 1 });
    expect(() => parseHeader(HEADER.replace('"version":1', '"version":2'), "x")).toThrow(/has version 2, this program reads up to 1/);
    expect(() => parseHeader('{"a":1}', "x")).toThrow(/not the header of a recording/);
  });
});

async function read(text: string | Buffer): Promise<RecordedMessage[]> {
  await using folder = await TempFolder.make();
  await writeFile(folder.join("r.jsonl"), text);
  const recording = await openRecording(folder.join("r.jsonl"));
  const messages: RecordedMessage[] = [];
  for await (const each of recording.messages()) messages.push(each);
  expect(recording.progress()).toBe(1);
  return messages;
}

describe("a recording file", () => {
  it("is read line by line, however the pieces fall", async () => {
    const many = Array.from({ length: 3_000 }, (_, index) =>
      JSON.stringify({ ...toLine(message), seq: index, payload: "é".repeat(index % 50) }),
    );
    expect((await read(`${HEADER}\r\n\n${many.join("\n")}\n`)).map(({ seq }) => seq)).toEqual(many.map((_, index) => index));
    expect(await read(`${HEADER}\n${many[0]}`)).toHaveLength(1);
    expect(await read(HEADER)).toEqual([]);
  });

  it.each([
    ["", /r\.jsonl: the file is empty/],
    ["a,b\n1,2\n", /r\.jsonl:1: the line is not JSON/],
    [`${HEADER}\n\n{"seq":1}\n`, /r\.jsonl:3: /],
    [`${HEADER}\n${JSON.stringify(toLine(message))}\n${JSON.stringify(toLine(message)).slice(0, 40)}`, /r\.jsonl:3: the line is not JSON/],
  ])("%# is refused with file and line", async (text, reason) => {
    await expect(read(text)).rejects.toMatchObject({ code: "RECORDING_INVALID", message: expect.stringMatching(reason) as string });
  });

  it("that cannot be read is said to be so", async () => {
    await expect(openRecording("/nowhere/x.jsonl")).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
    await expect(openRecording("/tmp")).rejects.toMatchObject({ code: "FILE_UNREADABLE" });
  });
});
