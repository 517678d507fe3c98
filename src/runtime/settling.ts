import type { Cursor } from "../core/cursor.ts";
import type { CallResult } from "../core/http-call.ts";
import type { Permissions } from "../core/manifest.ts";
import { pressureOf } from "../core/outbox-lanes.ts";
import type { OutboxRule } from "../core/outbox-rules.ts";
import { collect, deadLetter, type Draft, type DraftOwner, emptyDraft, isEmpty } from "./draft.ts";
import { type GuestError, type GuestLog, type ItemEffects, type ItemResult, placeOf } from "./effects.ts";
import { addFailure } from "./failures.ts";
import type { FunctionLog } from "./function-log.ts";
import type { Idempotency } from "./idempotency.ts";
import type { Item } from "./item.ts";
import type { Outcome } from "./lane-owner.ts";
import type { Places } from "./places.ts";
import type { Wake } from "./route.ts";
import type { RuntimeJournal } from "./runtime-journal.ts";
import { StateBudget } from "./state-budget.ts";
import { TraceNote, type Tried } from "./trace-note.ts";
import type { TraceRecorder } from "./trace-recorder.ts";
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
  /** Takes what is to be remembered of some messages. */
  readonly traces: TraceRecorder | undefined;
  /** The item is done with: the cursor that is committed next has to say so. */
  finish(item: Item): void;
}

interface Settled {
  /** How many of the outcomes are final. */
  readonly finished: number;
  /** The isolate believes it done, and it was refused; nothing behind it was taken. */
  readonly refused: Item | undefined;
}

interface Taken extends Settled {
  readonly draft: Draft;
  readonly durable: boolean;
  /** Of those that are final, what is to be recorded. */
  readonly notes: readonly TraceNote[];
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
    this.#budget = new StateBudget(this.stateBytesMax, {
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
  get outboxRule(): (type: string) => OutboxRule {
    return this.#version.outboxRule;
  }
  get stateBytesMax(): number {
    return this.#version.manifest.limits.stateBytes;
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
    let writes: { key: string; name: string; value: Buffer | undefined }[] | undefined;
    results.forEach((result, index) => {
      const item = items[index];
      if (item === undefined || result.status !== "done") return;
      for (const write of result.effects.state) (writes ??= []).push({ key: placeOf(item, write), name: write.name, value: write.value });
    });
    const [batch] = items;
    return writes === undefined || batch === undefined ? undefined : this.#budget.prepare(batch, writes);
  }

  /** Whether what a message wants to store fits into what the function may keep. */
  keeps(item: Item, state: ItemEffects["state"]): boolean {
    return this.#budget.take(state.map((write) => ({ key: placeOf(item, write), name: write.name, value: write.value })));
  }

  /** Takes a step that deletes expired state, and takes what it frees off the account. */
  freeState<T extends { readonly bytes: number }>(step: () => Promise<T>): Promise<T> {
    return this.#budget.free(step);
  }

  settle(outcomes: readonly Outcome[], cursor: Cursor): Settled {
    const { draft, durable, notes, ...settled } = this.#take(outcomes);
    // A volatile message cannot come again, so it need not be known that it was handled: without effects nothing is written.
    if (settled.finished > 0 && (durable || !isEmpty(draft))) {
      this.#commit(draft, cursor, notes);
    } else {
      this.counters.handled += draft.handled;
      this.#parts.traces?.committed(notes);
    }
    const [first] = outcomes;
    if (first !== undefined) this.#budget.settled(first.item);
    return settled;
  }

  #take(outcomes: readonly Outcome[]): Taken {
    const draft = emptyDraft();
    const { traces } = this.#parts;
    traces?.tick();
    let notes: TraceNote[] | undefined;
    let finished = 0;
    let durable = false;
    let refused: Item | undefined;
    for (const { item, result, dead } of outcomes) {
      if (result.status === "deferred") continue;
      this.usage.bytesIn += item.message.record.length;
      this.#log(item, result.logs);
      const events = draft.events.length;
      const derived = draft.derived.length;
      const error = result.status === "done" ? collect(item, result.effects, draft, this) : result.error;
      if (result.status === "done" && error !== undefined) refused = item;
      const given = dead || (result.status === "done" && item.giveUp !== "never");
      if (error !== undefined) this.#failure(item, error, given ? draft : undefined);
      if (traces?.wants(item, error !== undefined, this.name) === true) {
        const added = error === undefined || given ? { draft, mark: { events, derived } } : undefined;
        const note = new TraceNote(item, result, this.#tried(error, given), added);
        if (error === undefined || given) (notes ??= []).push(note);
        else traces.add(note.record, this.name);
      }
      if (error === undefined || given) {
        finished++;
        if (error === undefined) this.#parts.idempotency?.done(item, draft.marks);
        this.#answer(item, result, error, draft);
        durable ||= item.message.volatile !== true;
        this.#parts.finish(item);
      }
      if (refused !== undefined) break;
    }
    for (const note of notes ?? NO_NOTES) traces?.expect(note);
    return { draft, durable, finished, refused, notes: notes ?? NO_NOTES };
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

  #log(item: Item, logs: readonly GuestLog[]): void {
    for (const log of logs)
      this.#parts.log.add(log, { invocation: `${item.message.seq}.${item.attempt}`, trace: item.trace?.context.traceId });
  }
}

/** Of what is likely to be large. */
function bytesOf({ publishes, derived, state }: Draft): number {
  let bytes = 0;
  for (const record of publishes) bytes += record.length;
  for (const { record } of derived) bytes += record.length;
  for (const { value } of state) bytes += value?.length ?? 0;
  return bytes;
}

/** Of what leaves the function. */
function outOf({ publishes, events }: Draft): number {
  let bytes = 0;
  for (const record of publishes) bytes += record.length;
  for (const { data } of events) bytes += Buffer.byteLength(data);
  return bytes;
}

function sourceOf(name: string): Buffer {
  const text = Buffer.from(`fn:${name}`);
  return Buffer.concat([Buffer.from([text.length >> 8, text.length & 255]), text]);
}
