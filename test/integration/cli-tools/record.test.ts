import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRecording } from "../../../src/core/recording-file.ts";
import type { RecordedMessage } from "../../../src/core/recording.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";
import { cli, startCli } from "./support.ts";

let site: Site;

beforeAll(async () => {
  // Nothing is consumed, so that everything stays in the journal.
  site = await Site.open(functionOf({ handler: "throw new Error('not yet')", retry: { attempts: 100, minMs: 60_000, maxMs: 60_000 } }));
  for (let n = 1; n <= 20; n++) await site.send(`in/${n % 4}`, `{"n":${n}}`);
  await site.send("in/raw", Buffer.from([0xff, 0x00]), {
    qos: 2,
    retain: true,
    properties: { contentType: "application/octet-stream", userProperties: { unit: "C" } },
  });
});
afterAll(() => site[Symbol.asyncDispose]());

const out = (name: string): string => join(site.folder, name);
const at = (): string[] => ["--gateway", site.http];

async function recorded(path: string): Promise<RecordedMessage[]> {
  const recording = await openRecording(path);
  const messages: RecordedMessage[] = [];
  for await (const message of recording.messages()) messages.push(message);
  return messages;
}

describe("record", () => {
  it("writes every message of the journal as it came", async () => {
    const { code, stdout } = await cli("record", out("all.jsonl"), ...at());
    expect(stdout).toBe(`21 messages recorded to ${out("all.jsonl")}, seq 1 to 21\n`);
    expect(code).toBe(0);
    const messages = await recorded(out("all.jsonl"));
    expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
    expect(messages[2]).toMatchObject({ topic: "in/3", qos: 1, retain: false, source: "sensor", payload: Buffer.from('{"n":3}') });
    expect(messages[20]).toMatchObject({
      topic: "in/raw",
      qos: 2,
      retain: true,
      payload: Buffer.from([0xff, 0x00]),
      properties: { contentType: "application/octet-stream", user: { unit: "C" } },
    });
    const [header = ""] = (await readFile(out("all.jsonl"), "utf8")).split("\n");
    expect(JSON.parse(header)).toMatchObject({ millrace: "recording", version: 1, gateway: "g" });
  });

  it("writes a part of it, also to standard output", async () => {
    const { code, stdout, stderr } = await cli("record", "-", "--from", "3", "--to", "12", "--topic", "in/3", "--limit", "2", ...at());
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split("\n").slice(1);
    expect(lines.map((line) => (JSON.parse(line) as { seq: number }).seq)).toEqual([3, 7]);
    expect(stderr).toBe("2 messages recorded, seq 3 to 7\n");
  });

  it("understands times and durations", async () => {
    for (const from of ["-1h", "2026-11-20T08:00:00Z"]) {
      const { stdout } = await cli("record", out("times.jsonl"), "--force", "--from", from, "--json", ...at());
      expect(JSON.parse(stdout)).toMatchObject({ messages: 21, first: 1, last: 21, interrupted: false });
    }
    const all = await recorded(out("times.jsonl"));
    const since = all[10]?.time ?? 0;
    await cli("record", out("since.jsonl"), "--from", new Date(since).toISOString(), ...at());
    expect(await recorded(out("since.jsonl"))).toEqual(all.filter(({ time }) => time >= since));
    const { stdout } = await cli("record", out("none.jsonl"), "--to=-1h", "--json", ...at());
    expect(JSON.parse(stdout)).toMatchObject({ messages: 0 });
    expect(await recorded(out("none.jsonl"))).toEqual([]);
  });

  it("follows what comes in until it is told to stop", async () => {
    const run = startCli("record", "-", "--from", "21", "--follow", ...at());
    await eventually(() => expect(run.output.stdout).toContain('"seq":21'));
    await site.send("in/0", "later");
    await eventually(() => expect(run.output.stdout).toContain('"payload":"later"'));
    run.stop();
    expect(await run.result).toMatchObject({ code: 0, stderr: "2 messages recorded, seq 21 to 22\n" });
  });

  it("leaves a file alone that exists", async () => {
    await cli("record", out("kept.jsonl"), "--limit", "1", ...at());
    const before = await readFile(out("kept.jsonl"), "utf8");
    const { code, stderr } = await cli("record", out("kept.jsonl"), ...at());
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error FILE_UNWRITABLE: .*the file exists\n {2}hint: .*--force/);
    expect(await readFile(out("kept.jsonl"), "utf8")).toBe(before);
  });

  it.each([
    [["--from", "soon"], 2, /--from "soon" is not a seq \(1200\), an RFC 3339 time/],
    [["--topic", "a/#/b"], 1, /TOPIC_FILTER_INVALID/],
    [["--gateway", "http://127.0.0.1:1"], 1, /GATEWAY_UNREACHABLE/],
  ])("with %j makes no file", async (args, code, text) => {
    const path = out("never.jsonl");
    const result = await cli("record", path, ...at(), ...args);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(text);
    expect(existsSync(path)).toBe(false);
  });
});
