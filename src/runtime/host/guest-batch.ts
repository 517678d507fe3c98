import { Context, type ContextParts } from "./guest-context.ts";
import { Effects, nothingSpent, printable } from "./guest-effects.ts";
import type { GuestEvent } from "./guest-event.ts";
import type { Migrations } from "./guest-migrations.ts";
import { SHARED_KEY } from "./guest-state-names.ts";
import { LimitError, PayloadError } from "./guest-values.ts";

const WARN = 2;

type Batch = (events: readonly GuestEvent[], ctx: object) => unknown;
type Contexts = (event: unknown) => Context;

/** The `ctx` of several messages that are handled together. What is published and emitted in it belongs to all of them. */
class BatchContext extends Context {
  readonly #contexts: Contexts;

  constructor(last: GuestEvent, effects: Effects, parts: ContextParts, contexts: Contexts) {
    super(last, effects, parts);
    this.#contexts = contexts;
  }

  /** The context of one of the messages. */
  get of(): Contexts {
    return this.#contexts;
  }

  override get state(): never {
    throw new TypeError("a batch has messages of many keys; ctx.of(event).state is that of one");
  }
}

/** One message of a batch, and what is wanted for it alone. */
interface Share {
  readonly event: GuestEvent;
  readonly effects: Effects;
}

/** What `batch` has not written itself: what the state had to become before. */
type Before = ReadonlyMap<Effects["state"], ReadonlyMap<string, string | undefined>>;

export interface BatchOwner {
  readonly parts: Omit<ContextParts, "startedAt">;
  readonly batch: Batch;
  readonly migrations: Migrations | undefined;
  /** Whether the message may be handled now. */
  admits(event: GuestEvent): boolean;
  /** Whether an earlier message of the key has failed, so that this one has to wait for its retry. */
  waits(key: string): boolean;
  /** A call begins; what is logged beside a context goes to these effects. */
  begin(effects: Effects, events: readonly GuestEvent[]): number;
  over(): void;
  /** Answers with the result of a message that failed. */
  fail(error: unknown, event: GuestEvent, effects: Effects): string;
  /** Takes the result of the next message. */
  add(result: string): void;
}

/** The result of a message that waits for an earlier one of its key. */
export const DEFERRED = "\x03";

/** Handles messages, in order. */
export async function handleAll(events: readonly GuestEvent[], owner: BatchOwner): Promise<void> {
  for (const call of callsOf(events)) {
    const handled = await together(call, owner);
    if (!handled.all) await oneByOne(call, owner, handled.why);
  }
}

/** Unless all have their results, the messages are to be handled one by one. `why`: several were tried together, and have failed as a whole. */
type Handled = { readonly all: true } | { readonly all: false; readonly why?: string };

async function together(call: readonly GuestEvent[], owner: BatchOwner): Promise<Handled> {
  const admitted = new Set(call.filter((event) => owner.admits(event)));
  if (admitted.size < 2) return { all: false };
  const called = await callBatch([...admitted], owner);
  if (typeof called === "string") return { all: false, why: called };
  const results = called.values();
  for (const event of call) owner.add(admitted.has(event) ? (results.next().value ?? "") : DEFERRED);
  return { all: true };
}

async function oneByOne(call: readonly GuestEvent[], owner: BatchOwner, why: string | undefined): Promise<void> {
  let first = why;
  for (const event of call) {
    if (!owner.admits(event)) {
      owner.add(DEFERRED);
      continue;
    }
    const called = await callBatch([event], owner, first);
    first = undefined;
    owner.add(called[0] ?? "");
  }
}

/**
 * Cuts messages where calls of `batch` are cut: one that is tried again is handled alone, so that a message that always fails does not take
 * the others with it each time.
 */
function callsOf(events: readonly GuestEvent[]): GuestEvent[][] {
  const calls: GuestEvent[][] = [];
  for (const event of events) {
    const last = calls.at(-1);
    if (last === undefined || event.attempt > 1 || (last[0]?.attempt ?? 1) > 1) calls.push([event]);
    else last.push(event);
  }
  return calls;
}

/**
 * Calls `batch` once. Answers with one result for each message, or, when several of them have failed as a whole, with what is to be said about that.
 * `said` is logged first.
 */
async function callBatch(events: readonly GuestEvent[], owner: BatchOwner, said?: string): Promise<readonly string[] | string> {
  const { outputBytes } = owner.parts.options;
  const spent = nothingSpent(events.length);
  const whole = new Effects(outputBytes, spent);
  if (said !== undefined) whole.log(WARN, [said]);
  const written = new Map(events.map(({ key }) => [key, new Map<string, string | undefined>()]));
  const shared: Effects["shared"] = new Map();
  const shares = events.map((event): Share => {
    const state = written.get(event.key) ?? new Map<string, string | undefined>();
    return { event, effects: new Effects(outputBytes, spent, { state, shared }) };
  });
  const startedAt = owner.begin(whole, events);
  try {
    const before = await migrate(shares, owner.migrations);
    const returned = await owner.batch([...events], contextOf(shares, whole, { ...owner.parts, startedAt }));
    const failed = failuresOf(returned, events);
    refuseParts(shares, failed, before);
    await store(shares, failed, owner.parts);
    owner.over();
    return resultsOf({ shares, whole, failed }, owner);
  } catch (error) {
    owner.over();
    const [only] = shares;
    if (shares.length > 1 || only === undefined) {
      const code = error instanceof LimitError || error instanceof PayloadError ? `${error.code}: ` : "";
      return `the batch failed, so its ${shares.length} messages are handled one by one: ${code}${printable(error)}`;
    }
    only.effects.addLogs(whole);
    return [owner.fail(error, only.event, only.effects)];
  }
}

async function migrate(shares: readonly Share[], migrations: Migrations | undefined): Promise<Before> {
  const before = new Map<Effects["state"], ReadonlyMap<string, string | undefined>>();
  if (migrations === undefined) return before;
  for (const { event, effects } of shares) await migrations.bring(event, effects);
  for (const { effects } of shares) for (const written of [effects.state, effects.shared]) before.set(written, new Map(written));
  return before;
}

/** Whether `batch` itself has written there. */
function hasWritten(written: Effects["state"], before: Before): boolean {
  const migrated = before.get(written);
  if (migrated === undefined) return written.size > 0;
  return written.size !== migrated.size || [...written].some(([name, value]) => migrated.get(name) !== value);
}

function contextOf(shares: readonly Share[], whole: Effects, parts: ContextParts): object {
  const contexts = new Map<unknown, Context>();
  const of: Contexts = (event) => {
    const share = shares.find((one) => one.event === event);
    if (share === undefined) throw new TypeError("ctx.of takes one of the messages of the batch");
    const context = contexts.get(event) ?? new Context(share.event, share.effects, parts);
    contexts.set(event, context);
    return context;
  };
  const last = shares.at(-1);
  return last === undefined ? {} : new BatchContext(last.event, whole, parts, of);
}

/** What `batch` returned: the messages that failed, each with its error. Throws when it makes no sense. */
function failuresOf(returned: unknown, events: readonly GuestEvent[]): ReadonlyMap<GuestEvent, unknown> {
  const failed = new Map<GuestEvent, unknown>();
  const list: unknown = typeof returned === "object" && returned !== null && "failed" in returned ? returned.failed : undefined;
  if (list === undefined) return failed;
  if (!Array.isArray(list)) throw new TypeError('"failed" of what batch returns is a list of { id, error }');
  const byId = new Map(events.map((event) => [event.id, event]));
  for (const entry of list as readonly unknown[]) {
    const { id, error }: { id?: unknown; error?: unknown } = typeof entry === "object" && entry !== null ? entry : {};
    const event = byId.get(String(id));
    if (event === undefined) throw new TypeError(`batch returned "${printable(id)}" as failed, which is no id of its messages`);
    failed.set(event, error ?? new Error("batch returned it as failed"));
  }
  return failed;
}

/**
 * A key is handled in order, and its messages of a batch share what they write. So where one has failed, those behind it must have failed too, and nothing
 * may be written; otherwise it cannot be told what to keep.
 */
function refuseParts(shares: readonly Share[], failed: ReadonlyMap<GuestEvent, unknown>, before: Before): void {
  const broken = new Set<string>();
  for (const { event } of shares) {
    if (failed.has(event)) broken.add(event.key);
    else if (broken.has(event.key))
      throw new TypeError(`batch returned a message of key "${event.key}" as failed, and not those behind it`);
  }
  if (failed.size > 0 && shares.some(({ event, effects }) => !failed.has(event) && hasWritten(effects.shared, before))) {
    throw new TypeError("batch has written what all keys share, and some of its messages have failed");
  }
  for (const { event, effects } of shares) {
    if (!failed.has(event) && broken.has(event.key) && hasWritten(effects.state, before)) {
      throw new TypeError(`batch has written state of key "${event.key}", of which some messages have failed`);
    }
  }
}

/** Writes the state of all messages that have not failed, so that the next ones see it. */
async function store(shares: readonly Share[], failed: ReadonlyMap<GuestEvent, unknown>, parts: BatchOwner["parts"]): Promise<void> {
  const { state, options } = parts;
  const written = new Map<string, { readonly key: string; readonly writes: Effects["state"]; readonly now: number }>();
  for (const { event, effects } of shares) {
    if (failed.has(event)) continue;
    if (effects.state.size > 0) written.set(event.key, { key: event.key, writes: effects.state, now: event.time });
    if (effects.shared.size > 0) written.set(SHARED_KEY, { key: SHARED_KEY, writes: effects.shared, now: event.time });
  }
  await state.store(options.name, [...written.values()]);
}

interface Called {
  readonly shares: readonly Share[];
  readonly whole: Effects;
  readonly failed: ReadonlyMap<GuestEvent, unknown>;
}

/** What is wanted for all of them goes with the last one that has not failed; the others count only together with it. */
function resultsOf({ shares, whole, failed }: Called, owner: BatchOwner): string[] {
  const last = shares.findLast(({ event }) => !failed.has(event));
  last?.effects.addOutlets(whole);
  shares[0]?.effects.addLogs(whole);
  const wrote = new Map(shares.filter(({ event }) => !failed.has(event)).map((share) => [share.event.key, share]));
  return shares.map((share) => {
    const { event, effects } = share;
    if (failed.has(event)) return owner.waits(event.key) ? DEFERRED : owner.fail(failed.get(event), event, effects);
    // What its messages have written is one thing, and goes with the last of the key; what all keys share goes with the last of all.
    return effects.encode({ joined: share !== last, state: wrote.get(event.key) === share, shared: share === last });
  });
}
