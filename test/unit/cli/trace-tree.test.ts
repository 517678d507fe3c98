import { expect, it } from "vitest";
import { traceText } from "../../../src/cli/trace/tree.ts";
import type { TracedFunction, TracedMessage, TracedTry } from "../../../src/core/traces.ts";

const one: TracedTry = {
  version: 3,
  attempt: 1,
  arrived: 1_000,
  sent: 1_000.25,
  answered: 1_012,
  committed: 1_013.5,
  outcome: "done",
  state: [],
  events: [],
  publishes: [],
  derived: [],
};
const message = { topic: "in/a", source: "sensor", bytes: 17, time: 1_700_000_000_000 };
const node = (seq: number, functions: readonly TracedFunction[], more: Partial<TracedMessage> = {}): TracedMessage => ({
  seq,
  id: `g:${seq}`,
  message,
  functions,
  derived: [],
  ...more,
});
const text = (...messages: TracedMessage[]): string => traceText({ id: "x", gateway: "g", messages });

it("draws a message, what functions did, what came of it, and what that led to", () => {
  const line = { time: 1, level: "info", function: "first", invocation: "1.1", message: "took\u001b it", fields: { n: 1 } } as const;
  const handled: TracedTry = {
    ...one,
    state: ["last", "count"],
    events: [
      { id: "g:1:first:0", type: "m", cloud: "uploaded" },
      { id: "g:1:first:1", type: "m", cloud: "dropped" },
    ],
    publishes: ["mid/a"],
    derived: [2],
    more: { state: 2, events: 0, publishes: 0, derived: 0 },
  };
  const first: TracedFunction = { function: "first", version: 3, progress: "passed", tries: [handled], logs: [line] };
  const second: TracedFunction = { function: "second", version: 1, progress: "waiting", tries: [], logs: [] };
  const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  const tree = text(node(1, [first], { message: { ...message, traceparent }, derived: [node(2, [second])] }));
  expect(tree).toBe(`g:1  in/a  17B  from sensor  2023-11-14T22:13:20.000Z  trace 4bf92f3577b34da6a3ce929d0e0e4736
├─ first v3  handled
│  └─ try 1  done  waited 0.25 ms, took 12 ms, written after 1.50 ms
│     ├─ info     took  it {"n":1}
│     ├─ state    last, count and 2 more
│     ├─ event    g:1:first:0  m  in the cloud
│     ├─ event    g:1:first:1  m  dropped, the outbox had no room for it
│     └─ publish  mid/a
└─ g:2  in/a  17B  from sensor  2023-11-14T22:13:20.000Z
   └─ second v1  waits for it, or handles it now
`);
});

it("says what failed and was given up", () => {
  const failed = { ...one, outcome: "retry", code: "FUNCTION_THREW" } as const;
  const dead: TracedTry = { ...one, attempt: 2, outcome: "dead", code: "LIMIT_CPU", sent: 13_000, answered: 13_200 };
  const deadLetter = { code: "LIMIT_CPU", error: "too slow", attempts: 2 };
  const tree = text(node(1, [{ function: "f", version: 1, progress: "passed", tries: [failed, dead], deadLetter, logs: [] }]));
  expect(tree).toContain("└─ f v1  given up\n");
  expect(tree).toContain("try 1  failed, to be retried: FUNCTION_THREW  waited 0.25 ms, took 12 ms");
  expect(tree).toContain("try 2  failed, given up: LIMIT_CPU  since its arrival 12.0 s, took 200 ms");
  expect(tree).toContain("given up after 2 tries, see dead letters: LIMIT_CPU: too slow");
});

it("says what is not known", () => {
  const about = { version: 1, tries: [], logs: [] };
  const line = { time: 1, level: "warn", function: "f", invocation: "1.2", message: "hm" } as const;
  const functions: TracedFunction[] = [
    { ...about, function: "passed", progress: "passed", logs: [line] },
    { ...about, function: "other" },
  ];
  const tree = text(node(1, functions), node(2, []), { seq: 3, id: "g:3", functions, derived: [], cut: true });
  expect(tree).toContain("passed v1  is done with it; not sampled, so its effects are not known\n│  └─ #1.2  warn     hm\n");
  expect(tree).toContain("other v1  does not listen to it now; not sampled");
  expect(tree).toContain("no function listens to it");
  expect(tree).toContain("g:3  the journal does not have it (any more)");
  expect(tree).toContain("… and more that this led to");
  expect(traceText({ id: "x", gateway: "g", messages: [node(1, [])], cut: true })).toMatch(/… and more messages of this trace\n$/);
});
