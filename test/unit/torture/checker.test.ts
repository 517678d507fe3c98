import { expect, it } from "vitest";
import { check } from "../../torture/checker.ts";
import { FUNCTION_NAMES, type FunctionName } from "../../torture/functions.ts";
import { KeyLedger, Ledger } from "../../torture/ledger.ts";
import { OBSERVER_NAMES } from "../../torture/observer.ts";
import type { Outcome, Tally } from "../../torture/outcome.ts";

// Torture proves something only if its checks can fail: a run in which everything holds, and then one thing that does not.

const MESSAGES = 5;
const KEY = { in: "woken", rare: "seldom", plain: "brokered", light: "telemetry" } as const;

/** What is left of a run, open to be damaged. */
interface Run {
  readonly ledger: Ledger;
  readonly states: Map<string, Tally>;
  readonly events: Map<string, { n: number; count: number }[]>;
  readonly deadLetters: string[];
  outboxPending: number;
}

const at = (name: FunctionName, key: string): string => `${name}/${key}`;
const keyOf = (name: FunctionName): string => (name === "light" || name === "rare" ? KEY[name] : KEY.in);

function soundRun(): Run {
  const ways = ["in", "rare", "plain", "light"] as const;
  const keys = ways.map((way) => new KeyLedger(KEY[way], way, way === "light" ? 0 : 2));
  const run: Run = { ledger: new Ledger(keys), states: new Map(), events: new Map(), deadLetters: [], outboxPending: 0 };
  for (const key of keys) for (let n = 1; n <= MESSAGES; n++) key.next();
  for (const key of keys.filter(({ qos }) => qos > 0)) {
    for (let n = 1; n <= MESSAGES; n++) {
      key.acknowledged.add(n);
      for (const name of key.way === "rare" ? [] : OBSERVER_NAMES) run.ledger.deliver(name, key.key, n);
    }
  }
  for (const name of FUNCTION_NAMES) {
    run.states.set(at(name, keyOf(name)), { count: MESSAGES, ranges: [[1, MESSAGES]], doubled: [], disordered: [] });
    run.events.set(
      at(name, keyOf(name)),
      Array.from({ length: MESSAGES }, (_, i) => ({ n: i + 1, count: i + 1 })),
    );
  }
  return run;
}

function problemsOf({ ledger, states, events, deadLetters, outboxPending }: Run): readonly string[] {
  const outcome: Outcome = {
    state: (name, key) => states.get(at(name, key)),
    events: (name, key) => events.get(at(name, key)) ?? [],
    eventCount: 0,
    deadLetters,
    outboxPending,
  };
  return check(ledger, outcome).problems;
}

function change(run: Run, name: FunctionName, tally: Partial<Tally>): void {
  const place = at(name, keyOf(name));
  const before = run.states.get(place);
  if (before !== undefined) run.states.set(place, { ...before, ...tally });
}

function eventsOf(run: Run, name: FunctionName): { n: number; count: number }[] {
  return run.events.get(at(name, keyOf(name))) ?? [];
}

function ledgerOf(run: Run, way: keyof typeof KEY): KeyLedger {
  const found = run.ledger.of(way)[0];
  if (found === undefined) throw new Error(`there is no key for ${way}`);
  return found;
}

it("finds nothing where everything holds, also not where more is delivered than was promised", () => {
  const run = soundRun();
  for (const name of OBSERVER_NAMES) run.ledger.deliver(name, KEY.in, 2);
  expect(problemsOf(run)).toEqual([]);
});

it.each<[string, (run: Run) => void, RegExp]>([
  ["an acknowledged message is lost", (run) => ledgerOf(run, "in").acknowledged.add(6), /woken: 1 acknowledged but not in state: 6/],
  [
    "one function has not handled a message",
    (run) => {
      change(run, "echo", { count: 4, ranges: [[1, 4]] });
      eventsOf(run, "echo").pop();
    },
    /echo woken: 1 never handled: 5/,
  ],
  [
    "a function has handled what the first one has not",
    (run) => {
      change(run, "loose", { count: 6, ranges: [[1, 6]] });
      eventsOf(run, "loose").push({ n: 6, count: 6 });
    },
    /loose woken: 1 handled though the first function has not: 6/,
  ],
  ["a message counts twice", (run) => change(run, "alone", { doubled: [3] }), /alone woken: 1 more than once in state: 3/],
  ["telemetry counts twice", (run) => change(run, "light", { doubled: [3] }), /light telemetry: 1 more than once in state: 3/],
  ["a key is out of order", (run) => change(run, "echo", { disordered: [2] }), /echo woken: 1 out of order in state: 2/],
  ["an event is not in the cloud", (run) => void eventsOf(run, "tally").splice(2, 1), /tally woken: 1 in state but not in the cloud: 3/],
  [
    "an event is in the cloud twice",
    (run) => void eventsOf(run, "tally").push({ n: 3, count: 3 }),
    /tally woken: 5 messages are in state and 6 events in the cloud/,
  ],
  [
    "an event of something that never took effect is in the cloud",
    (run) => void eventsOf(run, "light").splice(4, 1, { n: 9, count: 5 }),
    /light telemetry: 1 in the cloud but not in state: 9/,
  ],
  ["a message was never sent", (run) => change(run, "light", { ranges: [[1, 6]] }), /light telemetry: 1 handled and never sent: 6/],
  [
    "a brokered message does not reach a session",
    (run) => ledgerOf(run, "plain").acknowledged.add(6),
    /brokered: 1 not delivered to the local subscriber "far": 6/,
  ],
  [
    "what a function publishes does not reach a session",
    (run) => ledgerOf(run, "in").received("near").times.delete(4),
    /woken: 1 not delivered to the local subscriber "near": 4/,
  ],
  [
    "a message reaches a session after a later one",
    (run) => {
      run.ledger.deliver("far", KEY.plain, 7);
      run.ledger.deliver("far", KEY.plain, 6);
    },
    /brokered: 1 delivered for the first time after a later one to the local subscriber "far": 6/,
  ],
  ["an acknowledged message is lost that woke an idle function", (run) => ledgerOf(run, "rare").acknowledged.add(6), /seldom: 1 ack.*: 6/],
  ["a message is given up", (run) => void run.deadLetters.push("echo woken seq 1"), /given up: echo woken seq 1/],
  ["the outbox is not empty", (run) => (run.outboxPending = 2), /2 events are left in the outbox/],
])("notices that %s", (_what, damage, problem) => {
  const run = soundRun();
  damage(run);
  expect(problemsOf(run).join("\n")).toMatch(problem);
});

it("lets the keys of a function with relaxed order out of order", () => {
  const run = soundRun();
  change(run, "loose", { disordered: [2] });
  eventsOf(run, "loose").splice(1, 2, { n: 3, count: 2 }, { n: 2, count: 3 });
  expect(problemsOf(run)).toEqual([]);
});
