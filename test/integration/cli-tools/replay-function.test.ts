import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ReplayResult } from "../../../src/core/stats.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";
import { cli, type CliResult, startBroker, startCli } from "./support.ts";

let site: Site;
let recording: string;
let folder: string;
const MESSAGES = 6;

const FOLDER = {
  "function.yaml": "name: sum\napi: 1\nentry: index.ts\ntriggers:\n  - mqtt: in/+k\nkey: k\n",
  "index.ts": `import { defineFunction } from "millrace";
export default defineFunction<{ n: number }>({
  async handler(event, ctx) {
    const n = ((await ctx.state.get<number>("n")) ?? 0) + event.data.n;
    ctx.state.set("n", n);
    ctx.emit("folder", { n });
  },
});
`,
};

beforeAll(async () => {
  site = await Site.open(
    functionOf({ name: "sum", handler: "ctx.state.set('n', 1000); ctx.emit('first', { id: event.id })" }),
    functionOf({
      name: "sum",
      handler: "ctx.state.set('n', 1000); ctx.emit('second', { id: event.id, replay: event.mqtt.properties.user })",
    }),
    functionOf({ name: "other", triggers: ["#"], handler: "ctx.emit('seen', { topic: event.subject })" }),
  );
  for (let n = 1; n <= MESSAGES; n++) await site.send(n % 3 === 0 ? "elsewhere" : `in/${n % 2}`, JSON.stringify({ n }));
  await site.handled("other", MESSAGES);
  await site.handled("sum", 4);
  recording = join(site.folder, "r.jsonl");
  const { code, stderr } = await cli("record", recording, "--gateway", site.http);
  if (code !== 0) throw new Error(stderr);
  folder = join(site.folder, "functions", "sum");
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(FOLDER)) await writeFile(join(folder, name), text);
});
afterAll(() => site[Symbol.asyncDispose]());

async function replay(...args: readonly string[]): Promise<{ code: number; stderr: string; results: ReplayResult[]; stdout: string }> {
  const { code, stdout, stderr } = await cli("replay", ...args, "--gateway", site.http, "--control", site.control);
  const results = args.includes("--json")
    ? stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as ReplayResult)
    : [];
  return { code, stderr, stdout, results };
}

const events = (results: readonly ReplayResult[]): unknown[] =>
  results.flatMap((result) => result.events.map(({ type, data }) => [type, data]));

describe("replay --function", () => {
  it("hands the journal to the version that runs, and to one that does not", async () => {
    const before = site.gateway.stats();
    const active = await replay("--function", "sum", "--from", "1", "--to", "5", "--json");
    expect(active).toMatchObject({ code: 0, stderr: "" });
    expect(active.results.map(({ seq }) => seq)).toEqual([1, 2, 4]);
    expect(active.results[0]).toMatchObject({ topic: "in/1", key: "1", ok: true, events: [{ type: "second", data: { id: "g:1" } }] });
    const first = await replay("--function", "sum@1", "--topic", "in/0", "--json");
    expect(events(first.results)).toEqual([
      ["first", { id: "g:2" }],
      ["first", { id: "g:4" }],
    ]);
    expect(site.gateway.stats().functions.map(({ handled }) => handled)).toEqual(before.functions.map(({ handled }) => handled));
    expect(site.gateway.stats().journal.seq).toBe(before.journal.seq);
  });

  it("tries a folder on the journal with the state of the gateway or none, and on a file without a gateway", async () => {
    expect(events((await replay("--function", folder, "--json")).results).at(-1)).toEqual(["folder", { n: 1006 }]);
    const empty = await replay("--function", folder, "--state", "empty", "--json");
    expect(events(empty.results)).toEqual([1, 2, 6, 6].map((n) => ["folder", { n }]));
    const offline = await cli("replay", recording, "--function", folder, "--json", "--gateway", "http://127.0.0.1:1");
    expect(offline.code).toBe(0);
    expect(
      events(
        offline.stdout
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line) as ReplayResult),
      ),
    ).toEqual(events(empty.results));
    expect(events((await replay(recording, "--function", folder, "--state", "current", "--from", "4", "--json")).results)).toEqual([
      ["folder", { n: 1004 }],
      ["folder", { n: 1005 }],
    ]);
  });

  it("prints what a person can read", async () => {
    const { stdout, code } = await replay(recording, "--function", folder, "--limit", "3");
    expect(code).toBe(0);
    const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`;
    expect(stdout).toMatch(
      new RegExp(
        `^#1  ${time}  in/1\n  state    1  n = 1\n  event    folder  in/1  \\{"n":1\\}\n#2  ${time}  in/0\n.*\n.*\n` +
          `2 messages of .*r\\.jsonl handed to sum, 1 not for it; nothing was committed\n$`,
      ),
    );
  });

  it("ends with 1 when a handler failed", async () => {
    const broken = join(site.folder, "functions", "broken");
    await mkdir(broken, { recursive: true });
    await writeFile(join(broken, "function.yaml"), FOLDER["function.yaml"]);
    await writeFile(join(broken, "index.ts"), `export default { handler() { throw new Error("no " + 1); } };`);
    const { stdout, code } = await replay(recording, "--function", broken);
    expect(code).toBe(1);
    expect(stdout).toMatch(/ {2}error {4}FUNCTION_THREW: no 1\n(.*\n)*4 messages .*, 4 failed/);
  });

  it("stops at once when told, whatever the handler does", async () => {
    const slow = join(site.folder, "functions", "slow");
    await mkdir(slow, { recursive: true });
    await writeFile(join(slow, "function.yaml"), `${FOLDER["function.yaml"]}limits: {wall: 60s}\n`);
    await writeFile(
      join(slow, "index.ts"),
      `export default { handler: (event) => event.data.n > 1 ? new Promise(() => undefined) : undefined };`,
    );
    const before = await childProcesses();
    for (const where of [[recording], []]) {
      const run = startCli("replay", ...where, "--function", slow, "--gateway", site.http);
      // Nothing is to be seen from outside of a handler that waits, but the host process that it runs in.
      await eventually(async () => expect(await childProcesses()).toBeGreaterThan(before));
      run.stop();
      const { code, stdout } = await run.result;
      expect(code).toBe(130);
      expect(stdout === "" || stdout.endsWith("stopped; nothing was committed\n")).toBe(true);
      await eventually(async () => expect(await childProcesses()).toBe(before));
    }
  });

  it.each([
    [["--function", "sum"], "data.csv", 2, /reads recordings .* not .*data\.csv/],
    [["--function", "a b"], undefined, 2, /--function "a b" is no name/],
    [["--function", "sum@latest"], undefined, 2, /NAME@VERSION with a number/],
    [["--function", "sum", "--from", "soon"], undefined, 2, /--from "soon"/],
    [["--function", "sum", "--key", "a"], undefined, 2, /--key does not go with --function/],
    [["--state", "empty"], "r.jsonl", 2, /--state does not go with a recording/],
    [["--from", "1", "--topic", "a"], "data.csv", 2, /--from does not go with a CSV file/],
    [[], undefined, 2, /name a file to publish/],
    [["--function", "nobody"], undefined, 1, /error FUNCTION_UNKNOWN/],
    [["--function", "sum@77"], undefined, 1, /error NOT_FOUND: there is no version 77 of "sum"/],
    [["--function", "./nowhere"], undefined, 1, /error FILE_UNREADABLE/],
  ])("refuses %j of %s", async (args, file, code, text) => {
    const result = await replay(...(file === undefined ? [] : [join(site.folder, file)]), ...args);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(text);
  });
});

const handled = (): number[] => site.gateway.stats().functions.map((each) => each.handled);
const commit = (...args: readonly string[]): Promise<CliResult> => cli("replay", ...args, "--commit", "--gateway", site.http);

describe("replay --commit", () => {
  it("hands recorded messages in as new ones, to every function that listens, and they can tell", async () => {
    const [sum = 0, other = 0] = handled();
    const { code, stdout } = await commit(recording, "--function", "sum", "--from", "1", "--to", "4");
    expect(stdout).toMatch(/^2 messages of .*r\.jsonl handed in as new, 1 not for sum\n$/);
    expect(code).toBe(0);
    await eventually(() => expect(handled()).toEqual([sum + 2, other + 2]));
    const newest = site.gateway.stats().journal.seq;
    const shown = await replay("--function", "sum", "--from", String(newest - 1), "--json");
    expect(shown.results.map((result) => result.events[0]?.data)).toMatchObject([
      { id: `g:${newest - 1}`, replay: { "millrace-replay": "g:1" } },
      { id: `g:${newest}`, replay: { "millrace-replay": "g:2" } },
    ]);
  });

  it("of a journal ends with what was there when it began", async () => {
    const before = site.gateway.stats().journal.seq;
    const { stdout } = await commit("--function", "sum@2", "--json");
    const { handedIn, others, interrupted } = JSON.parse(stdout) as { handedIn: number; others: number; interrupted: boolean };
    expect([handedIn + others, interrupted]).toEqual([before, false]);
    expect(site.gateway.stats().journal.seq).toBe(before + handedIn);
  });

  it("keeps to its rate, and says where to go on when it is stopped", async () => {
    const before = site.gateway.stats().journal.seq;
    const run = startCli("replay", recording, "--function", "sum", "--commit", "--rate", "2", "--gateway", site.http);
    await eventually(() => expect(site.gateway.stats().journal.seq).toBeGreaterThan(before));
    run.stop();
    const { code, stdout } = await run.result;
    expect(code).toBe(130);
    const handedIn = site.gateway.stats().journal.seq - before;
    expect(stdout).toMatch(new RegExp(`^${handedIn} messages? of .* handed in as new.*, stopped; --from \\d goes on\n$`));
    expect(handedIn).toBeLessThan(4);
  });

  it("changes nothing when it cannot be done", async () => {
    const before = site.gateway.stats().journal.seq;
    for (const [args, code, text] of [
      [["--function", "sum@1"], 1, /NOT_FOUND: version 2 of "sum" runs on this gateway, not version 1; nothing is known/],
      [["--function", "nobody"], 1, /FUNCTION_UNKNOWN/],
      [["--function", folder], 2, /--commit hands messages to what runs/],
      [["--function", "sum", "--state", "empty"], 2, /--state does not go with --commit/],
      [[], 2, /--commit does not go with a recording/],
    ] as const) {
      const result = await commit(recording, ...args);
      expect(result.stderr).toMatch(text);
      expect(result.code).toBe(code);
    }
    expect(site.gateway.stats().journal.seq).toBe(before);
  });
});

/** Host processes that this process has started. */
async function childProcesses(): Promise<number> {
  let found = 0;
  for (const thread of await readdir("/proc/self/task")) {
    const children = await readFile(`/proc/self/task/${thread}/children`, "utf8");
    found += children.split(" ").filter(Boolean).length;
  }
  return found;
}

describe("replay of a recording", () => {
  it("publishes it again, marked, with what it had", async () => {
    await using broker = await startBroker();
    const { code, stdout } = await cli("replay", recording, "--topic", "in/+x", "--broker", broker.url, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ messages: 4, interrupted: false });
    expect(broker.received.map(({ topic, payload, qos, retain }) => [topic, payload, qos, retain])).toEqual(
      [1, 2, 4, 5].map((n) => [`in/${n % 2}`, `{"n":${n}}`, 2, false]),
    );
  });

  it("reaches the functions of a gateway, which can tell", async () => {
    const before = site.stats("sum").handled;
    expect(await cli("replay", recording, "--from", "4", "--limit", "1", "--broker", site.gateway.addresses.mqtt)).toMatchObject({
      code: 0,
    });
    await site.handled("sum", before + 1);
    await eventually(async () => {
      const page = (await (await fetch(`${site.control}/v1/events?type=second&order=desc&limit=1`)).json()) as {
        events: { data: unknown }[];
      };
      expect(page.events[0]?.data).toMatchObject({
        replay: { "millrace-replay": "g:4", "millrace-time": expect.stringMatching(/Z$/) as string },
      });
    });
  });

  it("keeps to the recorded pace, and shows with --dry-run what it would do", async () => {
    const { stdout } = await cli("replay", recording, "--dry-run");
    expect(stdout).toMatch(/^in\/1 \{"n":1\}\n.*\n.*\n6 messages to 3 topics, 42 bytes of payload; nothing was published\n$/);
    await using broker = await startBroker();
    expect(await cli("replay", recording, "--speed", "1", "--limit", "2", "--broker", broker.url)).toMatchObject({ code: 0 });
    expect(broker.received).toHaveLength(2);
  });

  it("says how far it came when the file is damaged", async () => {
    const damaged = join(site.folder, "damaged.jsonl");
    const lines = (await readFile(recording, "utf8")).split("\n");
    await writeFile(damaged, [...lines.slice(0, 3), "{", ...lines.slice(3)].join("\n"));
    await using broker = await startBroker();
    const { code, stderr } = await cli("replay", damaged, "--broker", broker.url);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /error RECORDING_INVALID: .*damaged\.jsonl:4: the line is not JSON; 2 messages were published, --from 3 goes on/,
    );
    expect(broker.received).toHaveLength(2);
  });
});
