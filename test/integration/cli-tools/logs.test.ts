import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";
import { cli, startCli } from "./support.ts";

let site: Site;

beforeAll(async () => {
  site = await Site.open(
    functionOf({
      handler: `
        ctx.log.info('took ' + event.data, { site: 'milan', n: event.data });
        if (event.data === 2) throw new Error('two is too much');`,
      retry: { attempts: 2, minMs: 1, maxMs: 1 },
    }),
  );
  for (let n = 1; n <= 3; n++) await site.send(`in/${n}`, String(n));
  await site.handled("f", 2);
  await vi.waitUntil(() => site.stats("f").deadLettered === 1);
});
afterAll(() => site[Symbol.asyncDispose]());

async function lines(...flags: readonly string[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await cli("logs", ...flags, "--json", "--gateway", site.http);
  expect([code, stderr]).toEqual([0, ""]);
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

it("shows what functions logged, and what the gateway says about them", async () => {
  const all = await lines();
  expect(all[0]).toMatchObject({ function: "f", version: 1, level: "info", message: "version 1 handles messages from position 1 on" });
  expect(all.filter(({ fields }) => fields !== undefined)).toHaveLength(4);
  const { stdout } = await cli("logs", "--grep", "TOOK 1", "--gateway", site.http);
  expect(stdout).toMatch(/^\S+ {2}info {3}f v1 #1\.1 {2}took 1 \{"site":"milan","n":1\}\n$/);
});

it.each([
  [["--invocation", "1"], ["took 1"]],
  [
    ["--invocation", "2.1"],
    ["took 2", "FUNCTION_THREW"],
  ],
  [["--level", "error"], ["FUNCTION_THREW"]],
  [["f", "--grep", '"n":3'], ["took 3"]],
  [["--function", "f", "--grep", "took", "-n", "1"], ["took"]],
  [["--version", "1", "--since", "1h", "--grep", "took 3"], ["took 3"]],
  [["--version", "2"], []],
  [["nobody"], []],
  [["--until", "1h"], []],
  [["--since", "2001-01-01T00:00:00Z", "--until", "2001-01-02T00:00:00+01:00"], []],
] as const)("%j chooses %j", async (flags, expected) => {
  const found = await lines(...flags);
  expect(found.map(({ message }) => String(message))).toEqual(expected.map((text) => expect.stringContaining(text)));
});

it.each([
  [["--since", "yesterday"], /since: "yesterday" is neither a duration/],
  [["--since", "12"], /since: "12" is neither a duration/],
  [["--invocation", "x"], /invocation: SEQ or SEQ\.ATTEMPT/],
  [["-f", "--until", "1h"], /--follow has no end/],
  [["f", "--function", "g"], /two functions/],
] as const)("refuses %j", async (flags, message) => {
  const { code, stderr } = await cli("logs", ...flags, "--gateway", site.http);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(message);
});

it("follows what fits the filters", async () => {
  const following = startCli("logs", "-f", "--grep", "took 9", "--gateway", site.http);
  await site.send("in/8", "8");
  await site.send("in/9", "9");
  await eventually(() => expect(following.output.stdout).toContain("took 9"));
  expect(following.output.stdout).not.toContain("took 8");
  following.stop();
  await following.result;
});

it("is kept in a database of its own", async () => {
  expect(await readdir(`${site.folder}/gateway/logs`)).toContain("CURRENT");
});
