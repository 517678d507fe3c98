import { FUNCTION_NAMES, type FunctionName, setupOf } from "./functions.ts";
import type { KeyLedger, Ledger } from "./ledger.ts";
import { OBSERVER_NAMES } from "./observer.ts";
import type { Outcome, Tally } from "./outcome.ts";

const SHOWN_MAX = 20;
const NOTHING: Tally = { count: 0, ranges: [], doubled: [], disordered: [] };

export interface Verdict {
  /** Promises that are broken, with the numbers of the messages. */
  readonly problems: readonly string[];
  readonly handled: number;
  /** Messages of the trigger that is not durable that were handled. */
  readonly light: number;
  readonly deliveries: number;
  /** Local deliveries above one for each message and subscriber: allowed. */
  readonly redeliveries: number;
}

/**
 * Compares what the world outside was promised with what is there: every acknowledged message in the state of each function that it wakes and in
 * its events exactly once, each key in order, every handled message delivered to each local subscriber at least once and in order, nothing else
 * twice either.
 */
export function check(ledger: Ledger, outcome: Outcome): Verdict {
  const problems: string[] = [];
  let handled = 0;
  for (const one of ledger.of("rare")) {
    handled += checkAcknowledged(one, "rare", outcome, problems).size;
    problems.push(...checkKey(one.key, "rare", outcome));
  }
  for (const one of ledger.of("in")) {
    const numbers = checkAcknowledged(one, "tally", outcome, problems);
    handled += numbers.size;
    problems.push(...checkDelivered(one, numbers));
    for (const name of FUNCTION_NAMES.filter((other) => ["in", "out"].includes(setupOf(other).from))) {
      const own = numbersOf(outcome.state(name, one.key) ?? NOTHING);
      report(problems, `${name} ${one.key}`, "never handled", without(numbers, own));
      report(problems, `${name} ${one.key}`, "handled though the first function has not", without(own, numbers));
      problems.push(...checkKey(one.key, name, outcome));
    }
  }
  for (const one of ledger.of("plain")) problems.push(...checkDelivered(one, one.acknowledged));
  const light = checkLight(ledger, outcome, problems);
  for (const letter of outcome.deadLetters.slice(0, SHOWN_MAX)) problems.push(`given up: ${letter}`);
  if (outcome.outboxPending > 0) problems.push(`${outcome.outboxPending} events are left in the outbox`);
  const received = ledger.keys.flatMap((one) => OBSERVER_NAMES.map((name) => one.received(name)));
  const times = received.flatMap((one) => [...one.times.values()]);
  const deliveries = times.reduce((sum, count) => sum + count, 0);
  return { problems, handled, light, deliveries, redeliveries: deliveries - times.length };
}

/** The numbers that are in the state of the function that has to have the message first. */
function checkAcknowledged(one: KeyLedger, name: FunctionName, outcome: Outcome, problems: string[]): ReadonlySet<number> {
  const numbers = numbersOf(outcome.state(name, one.key) ?? NOTHING);
  report(problems, one.key, "acknowledged but not in state", without(one.acknowledged, numbers));
  return numbers;
}

/** These may be lost, but nothing of them counts twice. */
function checkLight(ledger: Ledger, outcome: Outcome, problems: string[]): number {
  let light = 0;
  for (const { key, sent } of ledger.of("light")) {
    const numbers = [...numbersOf(outcome.state("light", key) ?? NOTHING)];
    light += numbers.length;
    report(
      problems,
      `light ${key}`,
      "handled and never sent",
      numbers.filter((n) => n > sent),
    );
    problems.push(...checkKey(key, "light", outcome));
  }
  if (light === 0) problems.push("light: not a single message was handled");
  return light;
}

function checkDelivered(one: KeyLedger, numbers: ReadonlySet<number>): string[] {
  const problems: string[] = [];
  for (const name of OBSERVER_NAMES) {
    const { times, disordered, stories } = one.received(name);
    report(problems, one.key, `not delivered to the local subscriber "${name}"`, without(numbers, times));
    report(problems, one.key, `delivered for the first time after a later one to the local subscriber "${name}"`, disordered);
    for (const story of stories) problems.push(`${one.key}: that is how "${name}" got them: ${story}`);
  }
  return problems;
}

function checkKey(key: string, name: FunctionName, outcome: Outcome): string[] {
  const problems: string[] = [];
  const about = `${name} ${key}`;
  const { inOrder } = setupOf(name);
  const tally = outcome.state(name, key) ?? NOTHING;
  const events = outcome.events(name, key);
  report(problems, about, "more than once in state", tally.doubled);
  if (inOrder) report(problems, about, "out of order in state", tally.disordered);
  // The count in an event is its place in the order of handling; each place is there once, whatever way the events took to the cloud.
  const places = events.toSorted((one, other) => one.count - other.count);
  report(
    problems,
    about,
    "events are missing or doubled around",
    places.filter(({ count }, index) => count !== index + 1).map(({ n }) => n),
  );
  if (events.length !== tally.count)
    problems.push(`${about}: ${tally.count} messages are in state and ${events.length} events in the cloud`);
  const said = new Set(events.map(({ n }) => n));
  const numbers = numbersOf(tally);
  report(problems, about, "in state but not in the cloud", without(numbers, said));
  report(problems, about, "in the cloud but not in state", without(said, numbers));
  const late = places.filter(({ n }, i) => n <= (places[i - 1]?.n ?? 0)).map(({ n }) => n);
  if (inOrder) report(problems, about, "out of order in the cloud", late);
  return problems;
}

function numbersOf(tally: Tally): Set<number> {
  const numbers = new Set<number>();
  for (const [first, last] of tally.ranges) for (let n = first; n <= last; n++) numbers.add(n);
  return numbers;
}

function without(numbers: ReadonlySet<number>, others: { has(n: number): boolean }): number[] {
  return [...numbers].filter((n) => !others.has(n));
}

function report(problems: string[], about: string, what: string, numbers: readonly number[]): void {
  if (numbers.length === 0) return;
  const shown = numbers.slice(0, SHOWN_MAX).join(", ");
  problems.push(`${about}: ${numbers.length} ${what}: ${shown}${numbers.length > SHOWN_MAX ? " …" : ""}`);
}
