import type { Cursor } from "../core/cursor.ts";
import type { CallResult } from "../core/http-call.ts";
import type { Permissions } from "../core/manifest.ts";
import { pressureOf } from "../core/outbox-lanes.ts";
import type { OutboxRule } from "../core/outbox-rules.ts";
import { collect, collectTogether, deadLetter, type Draft, type DraftOwner, emptyDraft, isEmpty } from "./draft.ts";
import { bytesOf, outOf } from "./draft-bytes.ts";
import { type GuestError, type GuestLog, type ItemResult, placeOf } from "./effects.ts";
import { addFailure } from "./failures.ts";
import type { FunctionLog } from "./function-log.ts";
import type { Fault } from "./host/frames.ts";
import { effectsMaxOf } from "./host/guest-effect-limit.ts";
import type { Idempotency } from "./idempotency.ts";
import type { Item } from "./item.ts";
import type { Outcome, Refusal } from "./lane-owner.ts";
import type { PublishRules } from "./outside.ts";
import type { Places } from "./places.ts";
import type { Wake } from "./route.ts";
import type { RuntimeJournal } from "./runtime-journal.ts";
import { StateBudget, type StateWrite } from "./state-budget.ts";
import { type Added, type DraftMark, TraceNote, type Tried } from "./trace-note.ts";
import type { TraceRecorder } from "./trace-recorder.ts";
import { unitsOf } from "./unit.ts";
import type { Unwritten } from "./unwritten.ts";
import { Usage } from "./usage.ts";
import type { FunctionVersion } from "./version.ts";

/** The functions and callers whom it concerns what becomes of a message. */
export interface Inside {
  /** What a message with this topic wakes. */
  wakes(topic: string): Wake;
  /** Tells whoever waits for the message. */
  answer(seq: number, result: CallResult): void;
  /** Whether any function listens to events that functions emit. */
  listensToEvents(): boolean;
}

export interface SettlingParts {
  readonly gateway: string;
  readonly journal: RuntimeJournal;
  readonly unwritten: Unwritten;
  readonly log: FunctionLog;
  readonly places: Pick<Places, "first">;
  /** Takes out of an error what must not be kept. */
  readonly redact: (text: string) => string;
  readonly idempotency: Idempotency | undefined;
  readonly inside: Inside;
  readonly rules: PublishRules | undefined;
  /** Takes what is to be remembered of some messages. */
  readonly traces: TraceRecorder | undefined;
  /** The item is done with: the cursor that is committed next has to say so. */
  finish(item: Item): void;
}

interface Settled {
  /** How many of the outcomes are final. */
  readonly finished: number;
  readonly refused: Refusal | undefined;
}

/** What is taken of a batch, while it is being looked at. */
interface Tally {
  readonly draft: Draft;
  /** Of those that are final, what is to be recorded. */
  readonly notes: TraceNote[];
  finished: number;
  durable: boolean;
}

const NO_NOTES: readonly TraceNote[] = [];

/** Turns what became of the messages of a function into commits, and counts it. */
export class Settling implements DraftOwner {
  readonly counters = { handled: 0, failed: 0, retried: 0, deadLettered: 0, duplicates: 0, emitted: 0, published: 0 };
  readonly usage: Usage;
  readonly gateway: string;
  readonly source: Buffer;
  readonly #version: FunctionVersion;
  readonly #parts: SettlingParts;
  readonly #budget: StateBudget;
  #emitted = 0;
  /** Where the cursor ended that was written last. */
  #writtenEnd = 0;
  #settled: Promise<unknown> = Promise.resolve();

  constructor(version: FunctionVersion, parts: SettlingParts) {
    this.gateway = parts.gateway;
    this.source = sourceOf(version.name);
    this.usage = new Usage(version.manifest.limits.memoryBytes);
    this.#version = version;
    this.#parts = parts;
    const { state } = parts.journal;
    this.#budget = new StateBudget(this.limits.stateBytes, {
      settled: () => this.#settled,
      bytes: () => state.bytes(version.name),
      sizes: (values) => state.sizes(version.name, values),
    });
  }

  get name(): string {
    return this.#version.name;
  }
  get version(): number {
    return this.#version.version;
  }
  get permissions(): Permissions {
    return this.#version.permissions;
  }
  publishProblem(topic: string, retain: boolean): string | undefined {
    if (!this.permissions.mayPublish(topic)) return "permissions.publish";
    const why = this.#parts.rules?.publishProblem(this.name, topic, retain);
    return why === undefined ? undefined : `the access rules of the gateway: ${why}`;
  }
  get outboxRule(): (type: string) => OutboxRule {
    return this.#version.outboxRule;
  }
  get limits(): DraftOwner["limits"] {
    return this.#version.manifest.limits;
  }
  get migrates(): boolean {
    return this.#version.manifest.state !== undefined;
  }
  /** Where its events have gone so far, as `pressureOf` has it. */
  get emitted(): number {
    return this.#emitted;
  }

  wakes(topic: string): Wake {
    return this.#parts.inside.wakes(topic);
  }

  listens(kind: "event" | "state"): boolean {
    return kind === "event" ? this.#parts.inside.listensToEvents() : this.#version.watchesState;
  }

  /** Resolves when everything that was committed so far is on disk, or cannot get there any more. */
  async onDisk(): Promise<void> {
    await this.#settled;
  }

  prepare(items: readonly Item[], results: readonly ItemResult[]): Promise<void> | undefined {
    let writes: StateWrite[] | undefined;
    // What is more is going to be refused, and looking for all of it would take long.
    const writesMax = this.migrates ? Infinity : effectsMaxOf(this.limits.outputBytes) * results.length;
    results.forEach((result, index) => {
      const item = items[index];
      if (item === undefined || result.status !== "done" || result.effects.state.length > writesMax) return;
      for (const write of result.effects.state) (writes ??= []).push({ key: placeOf(item, write), name: write.name, value: write.value });
    });
    const [batch] = items;
    return writes === undefined || batch === undefined ? undefined : this.#budget.prepare(batch, writes);
  }

  /** Whether what is to be stored fits into what the function may keep. */
  keeps(writes: readonly StateWrite[]): boolean {
    return this.#budget.take(writes);
  }

  /** Takes a step that deletes expired state, and takes what it frees off the account. */
  freeState<T extends { readonly bytes: number }>(step: () => Promise<T>): Promise<T> {
    return this.#budget.free(step);
  }

  settle(outcomes: readonly Outcome[], cursor: Cursor): Settled {
    const tally: Tally = { draft: emptyDraft(), notes: [], finished: 0, durable: false };
    const isBatch = this.#version.manifest.batch !== undefined;
    this.#parts.traces?.tick();
    const refused = isBatch ? this.#takeUnits(outcomes, tally) : this.#take(outcomes, tally);
    const { draft, notes, durable, finished } = tally;
    for (const note of notes) this.#parts.traces?.expect(note);
    // The id of an event for a whole batch depends on which messages were in it, also when it was only one. Handled again after a power cut they may be
    // others: nobody may see such an event before it is on disk which ones they were.
    draft.sync = isBatch && draft.events.length > 0;
    // A volatile message cannot come again, so it need not be known that it was handled: without effects nothing is written.
    if (finished > 0 && (durable || !isEmpty(draft))) {
      this.#commit(draft, cursor, notes);
    } else {
      this.counters.handled += draft.handled;
      this.#parts.traces?.committed(notes);
    }
    const [first] = outcomes;
    if (first !== undefined) this.#budget.settled(first.item);
    return { finished, refused };
  }

  #take(outcomes: readonly Outcome[], tally: Tally): Refusal | undefined {
    let taken = 0;
    for (const outcome of outcomes) {
      taken++;
      if (this.#takeOne(outcome, tally)) return { taken, item: outcome.item };
    }
    return undefined;
  }

  /** Messages that were handled in one call are taken together or not at all: then each of them is to be handled alone. */
  #takeUnits(outcomes: readonly Outcome[], tally: Tally): Refusal | undefined {
    let taken = 0;
    for (const unit of unitsOf(outcomes)) {
      const [first] = unit.outcomes;
      if (unit.isBroken) return { taken, item: undefined };
      if (first !== undefined && unit.outcomes.length === 1) {
        if (this.#takeOne(first, tally)) return { taken: taken + 1, item: first.item };
      } else if (!this.#takeTogether(unit.outcomes, tally)) return { taken, item: undefined };
      taken += unit.outcomes.length;
    }
    return undefined;
  }

  /** False when they are refused. */
  #takeTogether(outcomes: readonly Outcome[], tally: Tally): boolean {
    const { draft } = tally;
    const parts = outcomes.flatMap(({ item, result }) => (result.status === "done" ? [{ item, ...result }] : []));
    const marks = new Map<Item, Added>();
    let from = markOf(draft);
    const error = collectTogether(parts, draft, this, (item) => {
      const to = markOf(draft);
      marks.set(item, { draft, mark: from, end: to });
      from = to;
    });
    const [first] = parts;
    if (error !== undefined && first !== undefined) {
      const message = `${error.code}: ${error.message}; the ${outcomes.length} messages of the batch are handled one by one`;
      this.#log(first.item, [{ level: "warn", message }]);
      return false;
    }
    for (const outcome of outcomes) {
      const added = marks.get(outcome.item);
      if (added === undefined) this.#takeOne(outcome, tally);
      else this.#done(outcome, added, tally);
    }
    return true;
  }

  /** True when it is refused. */
  #takeOne(outcome: Outcome, tally: Tally): boolean {
    const { item, result, dead } = outcome;
    if (result.status === "deferred") return false;
    const { draft } = tally;
    const added: Added = { draft, mark: markOf(draft) };
    const error = result.status === "done" ? collect({ item, ...result }, draft, this) : result.error;
    if (error === undefined) {
      this.#done(outcome, added, tally);
      return false;
    }
    this.#count(item, result.logs);
    const refused = result.status === "done";
    const given = dead || (refused && item.giveUp !== "never");
    this.#failure(item, error, given ? draft : undefined);
    this.#note(outcome, this.#tried(error, given), given ? added : undefined, tally);
    if (given) this.#finish(outcome, error, tally);
    return refused;
  }

  #done(outcome: Outcome, added: Added, tally: Tally): void {
    const { item, result } = outcome;
    if (result.status !== "done") return;
    this.#count(item, result.logs);
    this.#note(outcome, this.#tried(undefined, false), added, tally);
    this.#parts.idempotency?.done(item, tally.draft.marks);
    this.#finish(outcome, undefined, tally);
  }

  #count(item: Item, logs: readonly GuestLog[]): void {
    this.usage.bytesIn += item.message.record.length;
    this.#log(item, logs);
  }

  /** Of a try that is not the last one nothing is `added`, and nothing has to be waited for. */
  #note({ item, result }: Outcome, tried: Tried, added: Added | undefined, tally: Tally): void {
    const { traces } = this.#parts;
    if (traces?.wants(item, tried.outcome !== "done", this.name) !== true) return;
    const note = new TraceNote(item, result, tried, added);
    if (added === undefined) traces.add(note.record, this.name);
    else tally.notes.push(note);
  }

  #finish({ item, result }: Outcome, error: GuestError | undefined, tally: Tally): void {
    tally.finished++;
    this.#answer(item, result, error, tally.draft);
    tally.durable ||= item.message.volatile !== true;
    this.#parts.finish(item);
  }

  #tried(error: GuestError | undefined, given: boolean): Tried {
    const about = { function: this.name, version: this.version };
    return error === undefined ? { ...about, outcome: "done" } : { ...about, outcome: given ? "dead" : "retry", code: error.code };
  }

  /** What is on disk of the cursor that this begins with. */
  begin(cursor: Cursor): void {
    this.#writtenEnd = cursor.end;
  }

  /** Writes where the cursor stands, if it ends at least `least` above what was written last. */
  writeCursor(cursor: Cursor, least: number): void {
    if (cursor.end >= this.#writtenEnd + least) this.commitCursor(cursor);
  }

  /** Writes where the cursor stands. */
  commitCursor(cursor: Cursor): void {
    this.#commit(emptyDraft(), cursor, NO_NOTES);
  }

  #commit(draft: Draft, cursor: Cursor, notes: readonly TraceNote[]): void {
    const { handled, answers, ...effects } = draft;
    this.#writtenEnd = cursor.end;
    for (const { rule } of draft.events) this.#emitted |= rule === undefined ? 0 : pressureOf(rule);
    const { overflow } = this.#version.manifest;
    const written = this.#parts.unwritten.add(
      handled + draft.publishes.length + draft.derived.length + draft.events.length,
      bytesOf(draft),
    );
    this.#settled = new Promise<void>((resolve) => {
      this.#parts.journal.commit({ consumer: this.name, cursor, overflow, ...effects }, (error) => {
        written();
        if (notes.length > 0) this.#parts.traces?.committed(notes);
        // After a failed commit the gateway stops; the messages are handled again when it is back.
        if (error === undefined) {
          this.counters.handled += handled;
          this.usage.bytesOut += outOf(draft);
          this.counters.emitted += draft.events.length;
          this.counters.published += draft.publishes.length;
          this.counters.deadLettered += draft.deadLetters.length;
          for (const { seq, result } of answers) this.#parts.inside.answer(seq, result);
        }
        resolve();
      });
    });
  }

  /** What whoever waits for the message is told when all of it is written. */
  #answer({ trigger, message: { seq } }: Item, result: ItemResult, error: GuestError | undefined, draft: Draft): void {
    if (!this.#version.isAwaited(trigger)) return;
    const { redact } = this.#parts;
    if (error !== undefined) draft.answers.push({ seq, result: { kind: "error", code: error.code, message: redact(error.message) } });
    else if (result.status === "done" && result.answer !== undefined)
      draft.answers.push({ seq, result: { kind: "answer", answer: result.answer } });
  }

  /** The message was handled before, and is left out. */
  leftOut({ trigger, message: { seq } }: Item): void {
    this.counters.duplicates++;
    if (!this.#version.isAwaited(trigger)) return;
    this.#parts.inside.answer(seq, { kind: "error", code: "CALL_DUPLICATE", message: "it was handled before" });
  }

  #failure(item: Item, thrown: GuestError, draft: Draft | undefined): void {
    const { redact } = this.#parts;
    const error = { ...thrown, message: redact(thrown.message), stack: redact(thrown.stack) };
    this.counters.failed++;
    this.usage.failed(error.code, draft === undefined);
    if (draft === undefined) this.counters.retried++;
    else this.#giveUp(item, error, draft);
    const ending = draft === undefined ? "; it will be retried" : "; given up, see dead letters";
    const text = `${error.code}: ${error.stack === "" ? error.message : error.stack}${ending}`;
    this.#log(item, [{ level: draft === undefined ? "warn" : "error", message: text }]);
  }

  #giveUp(item: Item, error: GuestError, draft: Draft): void {
    const letter = deadLetter(item, error, this, this.#parts.places.first(error.stack));
    draft.deadLetters.push(letter);
    const wanted = this.#version.manifest.onFailure;
    const problems = wanted === undefined ? [] : addFailure({ item, letter, wanted }, draft, this);
    for (const message of problems) this.#log(item, [{ level: "error", message }]);
  }

  /** A call of `batch` with several messages was stopped. */
  parted([first, ...others]: readonly Item[], { code, message }: Fault): void {
    if (first === undefined || others.length === 0 || this.#version.manifest.batch === undefined) return;
    const text = `${code}: ${message}; it had ${others.length + 1} messages, which are handled one by one now`;
    this.#log(first, [{ level: "warn", message: text }]);
  }

  #log(item: Item, logs: readonly GuestLog[]): void {
    for (const log of logs)
      this.#parts.log.add(log, { invocation: `${item.message.seq}.${item.attempt}`, trace: item.trace?.context.traceId });
  }
}

function markOf({ events, derived }: Draft): DraftMark {
  return { events: events.length, derived: derived.length };
}

function sourceOf(name: string): Buffer {
  const text = Buffer.from(`fn:${name}`);
  return Buffer.concat([Buffer.from([text.length >> 8, text.length & 255]), text]);
}
