import { backoffMs } from "../core/clock.ts";
import { once } from "../core/lifecycle.ts";
import { type ItemResult, triedOf } from "./effects.ts";
import type { Fault } from "./host/frames.ts";
import { Idle } from "./idle.ts";
import type { InstanceHandle, Loss } from "./guarded-host.ts";
import { Instance } from "./instance.ts";
import { framed, isInnocent, isOneAbove, type LaneOwner, type LaneTies, outcomesOf, readResults } from "./lane-owner.ts";
import { type Item, oldestOf } from "./item.ts";
import { KeyLines } from "./key-lines.ts";
import { LaneQueue } from "./lane-queue.ts";
import { effectsOf, sliceEnd } from "./slices.ts";
import { pauseOf } from "./starved.ts";
import { type Batch, BATCH_EFFECTS_MAX, UnderWay } from "./under-way.ts";
import { Waiting } from "./waiting.ts";

/**
 * The messages of some keys of a function, and the isolate that handles them while there are any. With strict order the messages of one key
 * are handled in order: while one waits for its retry, those behind it wait too. Those of other keys go on in any case.
 */
export class Lane {
  readonly #owner: LaneOwner;
  readonly #strict: boolean;
  readonly queue: LaneQueue;
  readonly #waiting: Waiting;
  readonly #lines: KeyLines;
  readonly #underWay = new UnderWay();
  readonly #instance: Instance;
  readonly #ties: LaneTies;
  readonly #idle: Idle;
  /** Sends nothing more and waits for what is under way. What was not handled is left to whoever reads the journal next. */
  readonly stop: () => Promise<void>;
  #stopped = false;
  /** What is under way is a suspect, and nothing else is to be. */
  #trying = false;
  /** Nothing is sent until nothing is under way, and this was called. */
  #rested: (() => void) | undefined;
  /** The isolate may remember state that has changed. */
  #forgets = false;

  constructor(owner: LaneOwner, ties: LaneTies) {
    this.#owner = owner;
    this.#ties = ties;
    this.#strict = owner.manifest.order === "strict";
    this.#waiting = new Waiting(this.#strict, {
      due: (item) => {
        this.#lines.retry(item);
        this.pump();
      },
      setAside: (item) => owner.setAside(item),
    });
    this.queue = new LaneQueue(owner.manifest.batch, () => this.pump());
    this.#lines = new KeyLines({
      strict: this.#strict,
      queue: this.queue,
      waiting: this.#waiting,
      underWay: this.#underWay,
      goOn: (key) => owner.goOn(key),
    });
    this.#instance = new Instance(owner, {
      result: (id, results, usedMs) => this.#result(id, results, usedMs),
      turn: () => this.pump(),
      giveUp: (evenKept) => {
        const isOfUse = owner.held ? !this.#underWay.isEmpty : this.#hasWork;
        if (!isOfUse && (evenKept || !this.#ties.isKept())) this.#instance.drop();
      },
      cut: (id, cut) => this.#cut(id, cut),
      lost: (loss) => this.#lostHost(loss),
      unread: () => this.#leaveOff(),
      ready: () => this.#ready(),
    });
    this.#idle = new Idle({
      idleMs: owner.manifest.idleMs,
      isBusy: () => this.#ties.isKept() || this.#hasWork,
      idle: () => this.#instance.drop(),
    });
    this.stop = once(async () => {
      this.#stopped = true;
      this.queue.stop();
      await new Promise<void>((resolve) => this.rest(resolve));
      this.#waiting.clear();
      this.#idle.stop();
      this.#instance.close();
    });
  }

  /** Makes the isolate. @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  async warm(): Promise<void> {
    await this.#instance.warm();
  }

  /** After `warm` has failed: makes the isolate as soon as it is needed and that succeeds; until then messages wait. */
  recover(): void {
    if (this.#ties.isKept()) this.#instance.recover();
  }

  /** Of its isolate, when that was last looked at; undefined as long as it has none. */
  get heapBytes(): number | undefined {
    return this.#instance.handle === undefined ? undefined : this.#instance.heapBytes;
  }
  /** When the oldest message arrived that is here, in milliseconds since the epoch; Infinity when there is none. */
  get oldest(): number {
    return Math.min(this.queue.oldest, oldestOf(this.#underWay.all()), this.#waiting.oldest);
  }

  /** For how long, in milliseconds, it is going to handle what queues up behind what it has under way; 0 while it does not have much of that. */
  get behindMs(): number {
    return this.#underWay.isFull ? this.#underWay.expectedWallMs(this.queue.length) : 0;
  }

  /** For how many milliseconds something was under way since this was asked last. */
  takeBusyMs(): number {
    return this.#underWay.takeBusyMs();
  }

  /** Of everything that is here. */
  keys(): Set<string> {
    return new Set([...this.waitingKeys(), ...this.queue.keys(), ...this.#underWay.all().map(({ key }) => key)]);
  }

  /** Of what does not simply queue up. */
  waitingKeys(): Set<string> {
    return new Set([...this.#waiting.keys(), ...this.#lines.due]);
  }

  /** Sends nothing until nothing is under way; then calls `rested`, and goes on. */
  rest(rested: () => void): void {
    this.#rested = this.#underWay.isEmpty ? undefined : rested;
    if (this.#underWay.isEmpty) rested();
  }

  /** Gets keys from another lane: what its isolate remembers of the state of keys may not be so any more. */
  succeed(other: Lane): void {
    this.#underWay.expectAs(other.#underWay);
    this.#forgets = true;
  }

  /** Gives up the isolate, when there is nothing to do. */
  retire(): void {
    if (!this.#hasWork && !this.#ties.isKept()) this.#instance.drop();
  }

  get isAtRest(): boolean {
    return this.#underWay.isEmpty;
  }

  get #hasWork(): boolean {
    return this.queue.length > 0 || !this.#underWay.isEmpty;
  }

  offer(item: Item): void {
    if (!this.#waiting.join(item)) this.queue.push(item);
  }

  /** Sends what can be sent. Called after offering, so that what arrives together travels together. */
  pump(): void {
    // Own hosts are few, and somebody else may be able to use it.
    if (this.#instance.trial !== "none" && this.#owner.held && this.#underWay.isEmpty) this.#instance.replace("none");
    while (
      this.#maySend &&
      this.#instance.arrange(this.queue.trial, this.#underWay.isEmpty) &&
      this.queue.length > 0 &&
      !this.#underWay.isFull
    ) {
      const { handle } = this.#instance;
      if (handle === undefined) return this.#instance.want(this.queue.trial);
      if (!this.#underWay.isEmpty && (this.#trying || this.queue.first?.suspect === true)) return;
      if (!this.queue.isReady) return;
      const freeMs = handle.ask(this.#underWay.expectedMs(this.queue.length));
      if (freeMs === 0) return;
      const items = this.#take(freeMs);
      if (items.length > 0) this.#send(handle, items);
    }
  }

  get #maySend(): boolean {
    return !this.#stopped && this.#rested === undefined && !this.#owner.held;
  }

  #take(freeMs: number): Item[] {
    const items = this.queue.take(() => this.#underWay.fitting(this.#owner.manifest.limits.cpuMs, freeMs));
    return this.#owner.admits ? this.#admit(items) : items;
  }

  /** Leaves out those that were handled before, and keeps back those that may turn out to be. */
  #admit(items: readonly Item[]): Item[] {
    const admitted: Item[] = [];
    for (const item of items) {
      if (this.#waiting.join(item)) continue;
      const verdict = this.#owner.admit(item);
      if (verdict === "handle") admitted.push(item);
      else if (verdict === "wait") this.#waiting.stall(item);
      else if (this.#waiting.isEased(item.key)) this.#owner.goOn(item.key);
      if (verdict === "wait") this.#lines.holdBehind(item.key);
    }
    return admitted;
  }

  /** Takes out what is not under way and `isStale`, and answers with it. */
  purge(isStale: (item: Item) => boolean): readonly Item[] {
    const purged = this.queue.extract(isStale);
    const { items, keys } = this.#waiting.purge(isStale);
    this.#lines.release(keys);
    purged.push(...items);
    for (const key of new Set(purged.map((item) => item.key))) {
      // What is under way of a key may stand among what was set aside; it has to come back first.
      if (!this.#underWay.has(key) && this.#waiting.isEased(key)) this.#owner.goOn(key);
    }
    this.#next();
    return purged;
  }

  /** Those that wait for a message with this idempotency key may be asked about again. */
  resume(mark: string): void {
    const released = this.#stopped ? undefined : this.#waiting.unstall(mark);
    if (released === undefined) return;
    const { keys, items } = released;
    this.queue.unshift(items);
    this.#lines.release(keys);
    // Not at once: whoever tells of it is in the middle of settling.
    queueMicrotask(() => this.#next());
  }

  /** What waits because there was no room for it among the dead letters does not wait for its retry. */
  lettersFree(): void {
    if (!this.#stopped) this.#waiting.hurry((item) => item.giveUp === "never");
  }

  #send(handle: InstanceHandle, items: readonly Item[]): void {
    const parts = framed(items, this.#owner, this.#forgets);
    this.#forgets = false;
    this.#idle.busy();
    const { id } = this.#underWay.begin(items);
    this.#trying = items[0]?.suspect === true;
    for (const item of items) item.resume = false;
    handle.run(id, this.#underWay.limits(this.#owner.manifest.limits, items.length), parts);
  }

  #result(id: number, bytes: Buffer, usedMs: number): void {
    const batch = this.#underWay.answered(id);
    if (batch === undefined) return;
    const results = readResults(batch, bytes, this.#strict);
    if (results?.length !== batch.items.length) {
      return this.#lost({ code: "FUNCTION_THREW", message: "the isolate gave an answer that cannot be read" }, batch.items.length === 1);
    }
    // Its host has survived it.
    for (const item of batch.items) {
      item.trial = "none";
      item.starved = 0;
    }
    this.#underWay.weigh(results.length, effectsOf(results));
    this.#owner.measured(triedOf(results), this.#underWay.learn(batch, batch.items.length, usedMs), usedMs);
    this.#instance.answered(usedMs);
    this.#settleSlice(batch, results, 0);
  }

  /** What was handled in one call is taken at once; of the rest so much that others do not have to wait for long, then they have their turn. */
  #settleSlice(batch: Batch, results: readonly ItemResult[], from: number): void {
    const end = this.#owner.manifest.batch === undefined ? sliceEnd(results, from, BATCH_EFFECTS_MAX) : results.length;
    const [items, some] = [batch.items.slice(from, end), results.slice(from, end)];
    const preparing = from === 0 ? this.#owner.prepare(items, some) : othersFirst().then(() => this.#owner.prepare(items, some));
    this.#instance.settleAfter(preparing, () => {
      this.#underWay.leave(batch.items.slice(end));
      const refused = this.#settle(items, some);
      if (!refused && end < results.length) return this.#settleSlice(batch, results, end);
      if (refused) this.#replace();
      this.#next();
    });
  }

  /** What is under way is left to whoever reads the journal next. */
  #leaveOff(): void {
    this.#underWay.takeAll();
    this.#next();
  }

  /** A new isolate as soon as it is needed, and whatever was under way in the old one again. */
  #replace(): void {
    this.#lines.requeue(this.#underWay.takeAll());
    if (this.#ties.isKept() || this.queue.length > 0) this.#instance.replace(this.queue.trial);
    else this.#instance.drop();
  }

  /** The isolate is there. It may be of no use any more, or never have been, as that of a version that has just been deployed. */
  #ready(): void {
    this.#idle.expect();
    this.pump();
  }

  #cut(id: number, cut: { fault: Fault; finished: number; elapsedMs: number; results: Buffer }): void {
    const batch = this.#underWay.answered(id);
    if (batch === undefined) return;
    const innocent = isInnocent(cut.fault, this.#owner);
    if (!innocent) this.#owner.wasCut();
    const results = readResults(batch, cut.results, this.#strict) ?? [];
    const finished = results.slice(0, Math.min(cut.finished, batch.items.length));
    this.#underWay.weigh(finished.length, effectsOf(finished));
    const wallMs = this.#underWay.learn(batch, finished.length, cut.elapsedMs, cut.fault.code === "HOST_STARVED");
    this.#owner.measured(triedOf(finished) + (innocent ? 0 : 1), wallMs, cut.fault.code === "LIMIT_WALL" ? 0 : cut.elapsedMs);
    this.#instance.settleAfter(this.#owner.prepare(batch.items, finished), () => {
      this.#underWay.leave(batch.items.slice(finished.length));
      const refused = finished.length > 0 && this.#settle(batch.items, finished);
      if (innocent && (refused || this.#owner.cannotRead)) this.#again();
      else if (innocent) this.#starved(cut.fault);
      else this.#charge(batch, cut, refused);
    });
  }

  /** Whoever was running had no processor, and is tried again without an attempt, each time a little later. */
  #starved(fault: Fault): void {
    const [first, ...others] = this.#underWay.all();
    const pauseMs = first === undefined ? 0 : pauseOf(first);
    if (pauseMs === undefined) return this.#lost(fault, true);
    if (first !== undefined && pauseMs > 0 && !this.#waiting.hasLine(first.key)) {
      this.#underWay.takeAll();
      this.#underWay.putBack(others);
      this.#lines.hold(first, pauseMs);
    }
    this.#again();
  }

  #charge(batch: Batch, cut: { fault: Fault; elapsedMs: number }, refused: boolean): void {
    const isGuilty = !refused && (batch.items.length === 1 || isOneAbove(cut, this.#owner.manifest.limits));
    if (!isGuilty) this.#owner.wasParted(batch.items, cut.fault);
    this.#lost(cut.fault, isGuilty);
  }

  /** Whoever may have been the cause is tried where nothing else is; whoever is known not to be, is not even under suspicion. */
  #lostHost({ fault, guilt, trial }: Loss): void {
    const suspects = guilt === "none" ? [] : this.#underWay.all();
    for (const item of suspects) item.trial = trial;
    const [first, second] = suspects;
    // One whose key waits for an earlier message would have come back deferred.
    const isCulprit = guilt === "certain" && second === undefined && first !== undefined && !this.#waiting.hasLine(first.key);
    // Among many suspects whole batches are tried: most of them are innocent.
    if (guilt === "none" || trial === "together") this.#again();
    else this.#lost(fault, isCulprit);
  }

  /** The isolate is gone, and nothing that was under way in it has to do with that. */
  #again(): void {
    this.#replace();
    this.#next();
  }

  /** The isolate is gone. The first item is charged with an attempt if it is known to be guilty; everything else that was under way comes again. */
  #lost(fault: Fault, guilty: boolean): void {
    const items = this.#underWay.takeAll();
    const first = guilty ? items.shift() : undefined;
    this.#underWay.putBack(items);
    if (first !== undefined) {
      first.suspect = true;
      this.#settle([first], [{ status: "retry", logs: [], error: { ...fault, name: "Error", stack: "" } }]);
    } else for (const item of items) item.suspect = true;
    this.#again();
  }

  /** True when the isolate has to be replaced, because one of the results was refused. The items behind that one are under way again. */
  #settle(items: readonly Item[], results: readonly ItemResult[]): boolean {
    const outcomes = outcomesOf(items, results);
    const refused = this.#owner.settle(outcomes);
    const taken = refused?.taken ?? outcomes.length;
    const untaken = items.slice(taken, results.length);
    if (refused !== undefined) this.#underWay.putBack(untaken);
    if (refused?.item === undefined) for (const item of untaken) item.suspect = true;
    const deferred: Item[] = [];
    for (const { item, result, dead } of outcomes.slice(0, taken)) {
      if (result.status !== "retry") item.suspect = false;
      if (result.status === "deferred") deferred.push(item);
      else if (!dead && (result.status !== "done" || (item === refused?.item && item.giveUp === "never"))) this.#block(item);
    }
    // What their key waits for may have been taken out meanwhile; then they are the line.
    for (const item of deferred) this.#lines.line(item);
    for (const { item, result, dead } of outcomes.slice(0, taken)) {
      if ((result.status === "done" || dead) && this.#waiting.isEased(item.key)) this.#owner.goOn(item.key);
    }
    return refused !== undefined;
  }

  #block(item: Item): void {
    // There may be room for it since it was sent.
    const free = item.giveUp === "never" && !this.#owner.lettersFull;
    const wait = free ? 0 : backoffMs(item.attempt, this.#owner.manifest.retry);
    item.attempt++;
    this.#lines.hold(item, wait);
  }

  #next(): void {
    this.#lines.goOn();
    if (this.#rested !== undefined) this.rest(this.#rested);
    this.pump();
    this.#ties.wentOn();
  }
}

function othersFirst(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
