import { SHARED_KEY } from "../core/state-value.ts";
import type { BatchContext, BatchDefinition, FunctionContext, FunctionEvent } from "./index.ts";
import { type ContextParts, createContext, type Effects, outputBudget } from "./testing-context.ts";
import type { StateChange } from "./testing-state.ts";

/** A message on its way through the function. */
export interface Arrival<T> {
  readonly event: FunctionEvent<T>;
  readonly seq: number;
  readonly key: string;
  readonly effects: Effects;
}

export interface BatchOutcome<T> {
  /** What is wanted for all messages, and all that is written. */
  readonly whole: Effects;
  readonly failed: ReadonlyMap<Arrival<T>, unknown>;
}

/** What messages of one call write they write to one list, so that each sees what those before it have written of its key and of what all share. */
export function sharing<T>(arrivals: readonly Arrival<T>[]): readonly Arrival<T>[] {
  const state: Effects["state"] = [];
  return arrivals.map((arrival) => ({ ...arrival, effects: { ...arrival.effects, state } }));
}

/** Hands messages to `batch` in one call, as a gateway does. @throws What it threw; TypeError when what it returned makes no sense there */
export async function runBatch<T>(
  arrivals: readonly Arrival<T>[],
  definition: BatchDefinition<T>,
  parts: ContextParts,
): Promise<BatchOutcome<T>> {
  const last = arrivals.at(-1);
  const whole: Effects = { publishes: [], events: [], logs: [], state: [] };
  if (last === undefined) return { whole, failed: new Map() };
  const spend = outputBudget(parts.manifest, arrivals.length);
  const contexts = new Map<FunctionEvent<T>, FunctionContext>();
  for (const arrival of arrivals) contexts.set(arrival.event, createContext({ ...arrival, ...parts, spend }));
  const { state: _state, ...common } = createContext({ ...last, ...parts, effects: whole, spend });
  const ctx: BatchContext<T> = {
    ...common,
    of(event) {
      const context = contexts.get(event);
      if (context === undefined) throw new TypeError("ctx.of takes one of the messages of the batch");
      return context;
    },
  };
  const migrated = new Set(arrivals[0]?.effects.state);
  const returned = await definition.batch(
    arrivals.map(({ event }) => event),
    ctx,
  );
  const failed = new Map<Arrival<T>, unknown>();
  for (const { id, error } of returned?.failed ?? []) {
    const arrival = arrivals.find(({ event }) => event.id === id);
    if (arrival === undefined) throw new TypeError(`batch returned "${id}" as failed, which is no id of its messages`);
    failed.set(arrival, error ?? new Error("batch returned it as failed"));
  }
  refuseParts(arrivals, failed, migrated);
  const done = new Set(arrivals.filter((arrival) => !failed.has(arrival)).map(({ key }) => key));
  const written = arrivals[0]?.effects.state ?? [];
  whole.state.push(...written.filter(({ key }) => done.has(key) || (key === SHARED_KEY && done.size > 0)));
  return { whole, failed };
}

/** `migrated` is what was there before `batch` was called. */
function refuseParts<T>(
  arrivals: readonly Arrival<T>[],
  failed: ReadonlyMap<Arrival<T>, unknown>,
  migrated: ReadonlySet<StateChange>,
): void {
  const written = (arrivals[0]?.effects.state ?? []).filter((change) => !migrated.has(change));
  const broken = new Set<string>();
  for (const arrival of arrivals) {
    if (failed.has(arrival)) broken.add(arrival.key);
    else if (broken.has(arrival.key)) {
      throw new TypeError(`batch returned a message of key "${arrival.key}" as failed, and not those behind it`);
    }
  }
  const isShared = written.some(({ key }) => key === SHARED_KEY);
  if (isShared && failed.size > 0 && failed.size < arrivals.length) {
    throw new TypeError("batch has written what all keys share, and some of its messages have failed");
  }
  for (const arrival of arrivals) {
    const isWritten = written.some(({ key }) => key === arrival.key);
    if (failed.has(arrival) || !broken.has(arrival.key) || !isWritten) continue;
    throw new TypeError(`batch has written state of key "${arrival.key}", of which some messages have failed`);
  }
}
