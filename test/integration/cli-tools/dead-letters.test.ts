import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";
import { cli } from "./support.ts";

let site: Site;

beforeAll(async () => {
  site = await Site.open(functionOf({ handler: "throw new Error('never')", retry: { attempts: 2, minMs: 1, maxMs: 1 } }));
  for (let n = 1; n <= 3; n++) await site.send(`in/${n}`, `{"n":${n}}`);
});
afterAll(() => site[Symbol.asyncDispose]());

it("shows what functions gave up, and deletes it", async () => {
  const at = ["--gateway", site.http];
  await eventually(async () => expect((await cli("dead-letters", ...at)).stdout.trimEnd().split("\n")).toHaveLength(3), {
    timeout: 20_000,
  });
  const shown = await cli("dead-letters", "--limit", "1", "--json", ...at);
  expect(JSON.parse(shown.stdout)).toMatchObject({ seq: 3, topic: "in/3", attempts: 2, code: "FUNCTION_THREW" });
  expect((await cli("dead-letters", ...at)).stdout).toMatch(/ v1 {2}#1\.2 {2}in\/1 {2}2 tries {2}FUNCTION_THREW: .*never\n/);
  expect((await cli("dead-letters", "nobody", "--clear", ...at)).stdout).toBe("0 dead letters are deleted\n");
  expect(await cli("dead-letters", "--clear", "--json", ...at)).toMatchObject({ code: 0, stdout: '{"deleted":3}\n' });
  expect((await cli("dead-letters", ...at)).stdout).toBe("no message was given up\n");
});
