import { FUNCTION_NAMES, type FunctionName } from "./functions.ts";
import type { KeyLedger, Ledger } from "./ledger.ts";
import type { Outcome, Tally } from "./outcome.ts";

const SHOWN_MAX = 20;
const NOTHING: Tally = { count: 0, ranges: [], doubled: [], disordered: [] };

export interface Verdict {
  /** Promises that are broken, with the numbers of the messages. */
  readonly problems: readonly string[];
  readonly handled: number;
  readonly deliveries: number;
  /** Local deliveries above one for each message: allowed. */
  readonly redeliveries: number;
}

/**
 * Compares what the world outside was promised with what is there: every acknowledged message in state and in the events exactly once, each
 * key in order, every handled message delivered locally at least once, nothing else twice either.
 */
export function check(ledger: Ledger, outcome: Outcome): Verdict {
  const problems: string[] = [];
  let handled = 0;
  let deliveries = 0;
  let redeliveries = 0;
  for (const one of ledger.keys) {
    const tally = outcome.state("tally", one.key) ?? NOTHING;
    const numbers = numbersOf(tally);
    handled += numbers.size;
    report(
      problems,
      one.key,
      "acknowledged but not in state",
      [...one.acknowledged].filter((n) => !numbers.has(n)),
    );
    report(
      problems,
      one.key,
      "handled but not delivered to the local subscriber",
      [...numbers].filter((n) => !one.delivered.has(n)),
    );
    for (const times of one.delivered.values()) deliveries += times;
    redeliveries += [...one.delivered.values()].reduce((sum, times) => sum + times - 1, 0);
    const echoed = outcome.state("echo", one.key) ?? NOTHING;
    if (echoed.count !== tally.count) problems.push(`${one.key}: passed on ${tally.count} messages, of which ${echoed.count} were handled`);
    for (const name of FUNCTION_NAMES) problems.push(...checkKey(one, name, outcome));
  }
  for (const letter of outcome.deadLetters.slice(0, SHOWN_MAX)) problems.push(`given up: ${letter}`);
  if (outcome.outboxPending > 0) problems.push(`${outcome.outboxPending} events are left in the outbox`);
  return { problems, handled, deliveries, redeliveries };
}

function checkKey({ key }: KeyLedger, name: FunctionName, outcome: Outcome): string[] {
  const problems: string[] = [];
  const about = `${name} ${key}`;
  const tally = outcome.state(name, key) ?? NOTHING;
  const events = outcome.events(name, key);
  report(problems, about, "more than once in state", tally.doubled);
  report(problems, about, "out of order in state", tally.disordered);
  // The count in an event is its place in the order of handling; each place is there once, whatever way the events took to the cloud.
  const inOrder = events.toSorted((one, other) => one.count - other.count);
  const places = inOrder.filter(({ count }, index) => count !== index + 1).map(({ n }) => n);
  report(problems, about, "events are missing or doubled around", places);
  if (events.length !== tally.count)
    problems.push(`${about}: ${tally.count} messages are in state and ${events.length} events in the cloud`);
  const said = new Set(events.map(({ n }) => n));
  const numbers = numbersOf(tally);
  report(
    problems,
    about,
    "in state but not in the cloud",
    [...numbers].filter((n) => !said.has(n)),
  );
  report(
    problems,
    about,
    "in the cloud but not in state",
    [...said].filter((n) => !numbers.has(n)),
  );
  report(
    problems,
    about,
    "out of order in the cloud",
    inOrder.filter(({ n }, i) => n <= (inOrder[i - 1]?.n ?? 0)).map(({ n }) => n),
  );
  return problems;
}

function numbersOf(tally: Tally): Set<number> {
  const numbers = new Set<number>();
  for (const [first, last] of tally.ranges) for (let n = first; n <= last; n++) numbers.add(n);
  return numbers;
}

function report(problems: string[], about: string, what: string, numbers: readonly number[]): void {
  if (numbers.length === 0) return;
  const shown = numbers.slice(0, SHOWN_MAX).join(", ");
  problems.push(`${about}: ${numbers.length} ${what}: ${shown}${numbers.length > SHOWN_MAX ? " …" : ""}`);
}
