import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { TraceAnswer } from "../../../src/core/traces.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";
import { cli } from "./support.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SAMPLED = `00-${TRACE}-00f067aa0ba902b7-01`;

let site: Site;

/** Message 1 goes through both functions, message 3 fails twice. */
beforeAll(async () => {
  const first = functionOf({
    name: "first",
    retry: { attempts: 2, minMs: 1, maxMs: 1 },
    handler: `
      if (event.data === 'no') throw new Error('never');
      ctx.log.info('took it', { n: event.data });
      ctx.state.set('last', event.data);
      ctx.emit('seen', event.data);
      ctx.publish('mid/' + event.params.k, event.data);`,
  });
  site = await Site.open(first, functionOf({ name: "second", triggers: ["mid/+k"], handler: "ctx.log.info('me too');" }));
  await site.send("in/a", "7", { properties: { userProperties: { traceparent: SAMPLED } } });
  await site.handled("second", 1);
  await site.send("in/b", '"no"');
  await vi.waitUntil(() => site.stats("first").deadLettered === 1, { timeout: 30_000 });
});
afterAll(() => site[Symbol.asyncDispose]());

async function traced(id: string): Promise<TraceAnswer> {
  const { code, stdout, stderr } = await cli("trace", id, "--json", "--gateway", site.http);
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout) as TraceAnswer;
}

const second = {
  id: "g:2",
  message: { topic: "mid/a", source: "fn:first", bytes: 1 },
  functions: [
    { function: "second", progress: "passed", tries: [{ attempt: 1, outcome: "done", trace: TRACE }], logs: [{ message: "me too" }] },
  ],
  derived: [],
};
const first = {
  id: "g:1",
  message: { topic: "in/a", source: "sensor", bytes: 1, traceparent: SAMPLED },
  functions: [
    {
      function: "first",
      version: 1,
      tries: [{ attempt: 1, outcome: "done", state: ["last"], publishes: ["mid/a"], derived: [2], parent: "00f067aa0ba902b7" }],
      logs: [{ message: "took it", fields: { n: 7 }, invocation: "1.1" }],
    },
  ],
  derived: [second],
};

describe("a message is followed to its effects", () => {
  it.each(["1", "#1", "g:1", "1.1", "g:1:first:0", TRACE, SAMPLED])("by %s", async (id) => {
    expect((await traced(id)).messages).toMatchObject([first]);
  });

  it("and whether the cloud has its events", async () => {
    await eventually(async () => {
      const { messages } = await traced("1");
      expect(messages[0]?.functions[0]?.tries[0]?.events).toEqual([{ id: "g:1:first:0", type: "seen", cloud: "uploaded" }]);
    });
  });

  it("or to its end among the dead letters", async () => {
    const { messages } = await traced("3");
    expect(messages).toMatchObject([
      {
        functions: [
          {
            tries: [
              { attempt: 1, outcome: "retry", code: "FUNCTION_THREW" },
              { attempt: 2, outcome: "dead", code: "FUNCTION_THREW" },
            ],
            deadLetter: { code: "FUNCTION_THREW", attempts: 2 },
          },
        ],
      },
    ]);
    expect((await traced("3.2")).messages[0]?.functions[0]?.tries).toHaveLength(1);
  });

  it("and shown as a tree", async () => {
    const { code, stdout } = await cli("trace", "1", "--gateway", site.http);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^g:1 {2}in\/a .*trace 4bf9.*\n├─ first v1 {2}handled\n│ {2}└─ try 1 {2}done/);
    expect(stdout).toMatch(/└─ g:2 {2}mid\/a .*\n {3}└─ second v1 {2}handled\n/);
  });
});

it("logs and dead letters show what it takes", async () => {
  const logs = await cli("logs", "--trace", TRACE, "--gateway", site.http);
  expect(logs.stdout.match(/ #\d+\.1 4bf92f3577b34da6a3ce929d0e0e4736 /g)).toHaveLength(2);
  expect((await cli("dead-letters", "--gateway", site.http)).stdout).toContain(" #3.2  in/b ");
});

it.each([
  ["4", "no message 4 has come in yet; the newest is 3"],
  ["other:1", 'is of the gateway "other", and this is "g"'],
  ["1.9", "message 1 was tried 1 time, not 9"],
  ["g:1:first:1", '"first" emitted 1 events'],
  ["g:1:nobody:0", '"nobody" has had nothing to do with message 1'],
  ["f".repeat(32), "nothing is known of the trace"],
])("%s is unknown, with the reason and what to try", async (id, reason) => {
  const { code, stderr } = await cli("trace", id, "--gateway", site.http);
  expect(code).toBe(1);
  expect(stderr).toContain(reason);
  expect(stderr).toContain("millrace logs");
});

it("what is no id at all is not asked for", async () => {
  expect(await cli("trace", "x y", "--gateway", site.http)).toMatchObject({ code: 2 });
  expect((await fetch(`${site.http}/v1/traces/nothing`)).status).toBe(400);
  expect((await fetch(`${site.http}/v1/traces/99`)).status).toBe(404);
});
