import type { Bundle } from "../core/bundle.ts";
import type { Cursor } from "../core/cursor.ts";
import type { Drops } from "../core/drops.ts";
import { messageOf } from "../core/errors.ts";
import type { EmittedEvent } from "../core/event.ts";
import type { Logger } from "../core/log.ts";
import { compilePermissions, type Overflow, type Permissions } from "../core/manifest.ts";
import type { JournaledMessage } from "../core/message.ts";
import { pressureOf } from "../core/outbox-lanes.ts";
import { compileOutboxRules, type OutboxRule } from "../core/outbox-rules.ts";
import { parseTopicFilter, type TopicFilter } from "../core/topic.ts";
import type { DeadLetter } from "../core/stats.ts";
import { collect, deadLetter, type Derived, type Draft, emptyDraft, isEmpty } from "./draft.ts";
import type { GuestError, ItemEffects, ItemResult } from "./effects.ts";
import { Feed } from "./feed.ts";
import type { LoadSpec } from "./host/frames.ts";
import type { HostPool, InstanceEvents, InstanceHandle } from "./hosts.ts";
import { Idempotency, type MarkWrite, type Verdict } from "./idempotency.ts";
import type { Item } from "./item.ts";
import { Lane } from "./lane.ts";
import type { LaneOwner, Outcome } from "./lane-owner.ts";
import type { LogRing } from "./logs.ts";
import { laneOf, type Route, routingOf, type Wake } from "./route.ts";
import { type Pressure, Shedding } from "./shedding.ts";
import { StateBudget } from "./state-budget.ts";
import type { Turns } from "./turns.ts";

export interface FunctionCommit {
  readonly consumer: string;
  readonly cursor: Cursor;
  readonly state: readonly { readonly key: string; readonly name: string; readonly value?: Buffer }[];
  readonly events: readonly EmittedEvent[];
  readonly publishes: readonly Uint8Array[];
  readonly derived: readonly Derived[];
  readonly deadLetters: readonly DeadLetter[];
  readonly marks: readonly MarkWrite[];
  /** What happens when there is no room for dead letters. */
  readonly overflow: Overflow;
}

/** What the runtime needs of the journal. */
export interface RuntimeJournal {
  commit(commit: FunctionCommit, done: (error?: Error) => void): void;
  read(from: number, max: number): Promise<readonly JournaledMessage[]>;
  loadState(functionName: string, key: string): Promise<readonly { name: string; value: Buffer }[]>;
  readonly state: {
    marks(functionName: string): Promise<readonly Required<MarkWrite>[]>;
    bytes(functionName: string): Promise<number>;
    sizes(functionName: string, values: readonly { readonly key: string; readonly name: string }[]): Promise<readonly number[]>;
  };
  /** A function that would rather wait than lose a dead letter has to. */
  readonly deadLettersFull: boolean;
  /** Forgets which idempotency keys the function has handled. */
  dropMarks(functionName: string): Promise<void>;
}

export interface FunctionParts {
  readonly gateway: string;
  readonly hosts: HostPool;
  readonly journal: RuntimeJournal;
  readonly logs: LogRing;
  readonly logger: Logger;
  readonly drops: Drops;
  /** Messages that a function holds in memory. */
  readonly pendingMax: number;
  /** Seq after the newest message that came in. */
  head(): number;
  /** Whether functions have to wait because what they publish is not taken. */
  held(): boolean;
  /** Where the outbox has no room, see `pressureOf`. */
  outboxPressure(): number;
  route(owner: DeployedFunction, topic: string): Route<DeployedFunction> | undefined;
  /** What a message with this topic wakes. */
  wakes(topic: string): Wake;
}

/** A version of a function at work: takes its messages from the journal, spreads them over lanes, commits what comes of them. */
export class DeployedFunction implements LaneOwner {
  readonly bundle: Bundle;
  readonly version: number;
  readonly digest: string;
  readonly filters: readonly TopicFilter[];
  readonly routing: string;
  readonly permissions: Permissions;
  readonly outboxRule: (type: string) => OutboxRule;
  readonly counters = { handled: 0, failed: 0, retried: 0, deadLettered: 0, duplicates: 0, emitted: 0, published: 0 };
  readonly #parts: FunctionParts;
  readonly #lanes: readonly Lane[];
  readonly #feed: Feed;
  readonly #spec: LoadSpec;
  readonly #idempotency: Idempotency | undefined;
  /** Where its events have gone so far, as `pressureOf` has it: it waits where there is no room. */
  #emitted = 0;
  readonly #budget: StateBudget;
  readonly #shedding: Shedding;
  #from = 0;
  #settled: Promise<unknown> = Promise.resolve();

  constructor(target: { version: number; digest: string }, bundle: Bundle, parts: FunctionParts) {
    this.bundle = bundle;
    this.version = target.version;
    this.digest = target.digest;
    this.#parts = parts;
    const { manifest } = bundle;
    this.filters = manifest.triggers.map((trigger) => parseTopicFilter(trigger.mqtt));
    this.routing = routingOf(this.filters, manifest.key);
    this.outboxRule = compileOutboxRules(manifest.outbox);
    this.permissions = compilePermissions(manifest.permissions);
    this.#spec = loadSpec(bundle, this.filters, { version: target.version, gateway: parts.gateway });
    this.#idempotency = manifest.idempotency === undefined ? undefined : new Idempotency(manifest.idempotency);
    this.#budget = new StateBudget(manifest.limits.stateBytes, {
      settled: () => this.#settled,
      bytes: () => parts.journal.state.bytes(manifest.name),
      sizes: (values) => parts.journal.state.sizes(manifest.name, values),
    });
    this.#lanes = Array.from({ length: manifest.concurrency }, () => new Lane(this));
    this.#shedding = new Shedding({
      overflow: manifest.overflow,
      journal: parts.journal,
      head: () => parts.head(),
      route: (topic) => parts.route(this, topic),
    });
    this.#feed = new Feed({
      name: manifest.name,
      routing: this.routing,
      pendingMax: parts.pendingMax,
      journal: parts.journal,
      logger: parts.logger,
      head: () => parts.head(),
      route: (topic) => parts.route(this, topic),
      offer: (item) => this.#lanes[laneOf(item.key, this.#lanes.length)]?.offer(item),
      pump: () => this.pump(),
      drops: (message, key) => this.#drops(message, key),
      missed: (count) => parts.drops.count("volatile-behind", manifest.name, count),
    });
  }

  get name(): string {
    return this.bundle.manifest.name;
  }
  get gateway(): string {
    return this.#parts.gateway;
  }
  get stateBytesMax(): number {
    return this.manifest.limits.stateBytes;
  }
  get manifest(): Bundle["manifest"] {
    return this.bundle.manifest;
  }
  get turns(): Turns {
    return this.#parts.hosts.turns;
  }
  get held(): boolean {
    return this.#parts.held() || (this.#emitted & this.#parts.outboxPressure()) !== 0;
  }
  get lettersFull(): boolean {
    return this.manifest.overflow === "block" && this.#parts.journal.deadLettersFull;
  }
  get from(): number {
    return this.#from;
  }
  /** Messages below this seq are done with. */
  get floor(): number {
    return this.#feed.floor;
  }
  get backlog(): number {
    return this.#feed.backlog;
  }

  wakes(topic: string): Wake {
    return this.#parts.wakes(topic);
  }

  /** @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  async warm(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.warm()));
  }

  /** For a version that ran before and does not start now: it keeps its messages and tries again. */
  recover(): void {
    for (const lane of this.#lanes) lane.recover();
  }

  /** Takes up what the version before it remembered. */
  async remember(): Promise<void> {
    const { journal } = this.#parts;
    if (this.#idempotency === undefined) await journal.dropMarks(this.name);
    else this.#idempotency.load(await journal.state.marks(this.name));
  }

  /** Begins with the first message that the cursor does not call done. `from` is where this version took over. */
  start(cursor: Cursor, from: number): void {
    this.#from = from;
    this.#feed.start(cursor);
  }

  /** Finishes what is under way and hands over the cursor; whatever follows it is for the next version. */
  async stop(): Promise<Cursor | undefined> {
    this.#feed.stop();
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
    await this.#settled;
    return this.#feed.handOver();
  }

  /** A message that has just come in. */
  offerLive(message: JournaledMessage, route: Route<DeployedFunction>): void {
    this.#feed.live(message, route);
  }

  pump(): void {
    for (const lane of this.#lanes) lane.pump();
  }

  setAside(item: Item): boolean {
    const taken = this.#feed.setAside(item);
    if (taken) this.#release(item);
    return taken;
  }

  get admits(): boolean {
    return this.#idempotency !== undefined;
  }

  admit(item: Item): Verdict {
    const verdict = this.#idempotency?.admit(item) ?? "handle";
    if (verdict !== "duplicate") return verdict;
    this.counters.duplicates++;
    this.#feed.settled(item);
    this.#feed.refill();
    return verdict;
  }

  #release(item: Item): void {
    if (this.#idempotency?.release(item) === true) for (const lane of this.#lanes) lane.resume();
  }

  goOn(key: string): void {
    this.#feed.goOn(key);
  }

  /** Drops messages, when the manifest chose that, while the journal is full; what is under way is finished. */
  async shed(pressure: Pressure): Promise<void> {
    if (!(await this.#shedding.update(pressure, this.floor))) return;
    const { cursor } = this.#feed;
    if (cursor === undefined) return;
    for (const lane of this.#lanes) {
      for (const item of lane.purge(({ message, key }) => this.#shedding.isStale(message, key))) {
        this.#drops(item.message, item.key);
        this.#feed.settled(item);
        this.#feed.goOn(item.key);
        this.#release(item);
      }
    }
    this.#commit(emptyDraft(), cursor);
    this.#feed.refill();
  }

  #drops(message: JournaledMessage, key: string): boolean {
    const stale = this.#shedding.isStale(message, key);
    if (stale) this.#parts.drops.count("journal-overflow", this.name, 1);
    return stale;
  }

  load(events: InstanceEvents): Promise<InstanceHandle> {
    return this.#parts.hosts.load(this.#spec, events);
  }

  loadFailed(error: unknown): void {
    this.#parts.logs.add({ level: "error", function: this.name, version: this.version, message: messageOf(error) });
  }

  async loadState(keys: readonly string[]): Promise<string> {
    await this.#settled;
    const answer: Record<string, [string, string][]> = Object.create(null) as Record<string, [string, string][]>;
    await Promise.all(
      keys.map(async (key) => {
        const entries = await this.#parts.journal.loadState(this.name, key);
        if (entries.length > 0) answer[key] = entries.map(({ name, value }) => [name, value.toString()]);
      }),
    );
    return JSON.stringify(answer);
  }

  prepare(items: readonly Item[], results: readonly ItemResult[]): Promise<void> | undefined {
    let writes: { key: string; name: string; value: Buffer | undefined }[] | undefined;
    results.forEach((result, index) => {
      const item = items[index];
      if (item === undefined || result.status !== "done") return;
      for (const { name, value } of result.effects.state) (writes ??= []).push({ key: item.key, name, value });
    });
    return writes === undefined ? undefined : this.#budget.prepare(writes);
  }

  /** Whether what a message wants to store fits into what the function may keep. */
  keeps(key: string, state: ItemEffects["state"]): boolean {
    return this.#budget.take(state.map(({ name, value }) => ({ key, name, value })));
  }

  settle(outcomes: readonly Outcome[]): Item | undefined {
    const { cursor } = this.#feed;
    if (cursor === undefined) throw new Error("a lane settles before its function has started");
    const draft = emptyDraft();
    let finished = 0;
    let durable = false;
    let refused: Item | undefined;
    for (const { item, result, dead } of outcomes) {
      if (result.status === "deferred") continue;
      this.#log(item, result.logs);
      const error = result.status === "done" ? collect(item, result.effects, draft, this) : result.error;
      if (result.status === "done" && error !== undefined) refused = item;
      const given = dead || result.status === "done";
      if (error !== undefined) this.#failure(item, error, given ? draft : undefined);
      if (error !== undefined && !given) continue;
      finished++;
      if (error === undefined) this.#idempotency?.done(item, draft.marks);
      durable ||= item.message.volatile !== true;
      this.#feed.settled(item);
      if (refused !== undefined) break;
    }
    this.#budget.settled();
    if (finished === 0) return undefined;
    // A volatile message cannot come again, so it need not be known that it was handled: without effects nothing is written.
    if (durable || !isEmpty(draft)) this.#commit(draft, cursor);
    else this.counters.handled += draft.handled;
    // Whoever waited for these messages is left out from here on, in a later cursor.
    for (const { item, result, dead } of outcomes) if (dead || result.status === "done") this.#release(item);
    this.#feed.refill();
    return refused;
  }

  #commit(draft: Draft, cursor: Cursor): void {
    const { handled, ...effects } = draft;
    for (const { rule } of draft.events) this.#emitted |= rule === undefined ? 0 : pressureOf(rule);
    this.#settled = new Promise<void>((resolve) => {
      this.#parts.journal.commit({ consumer: this.name, cursor, overflow: this.manifest.overflow, ...effects }, (error) => {
        // After a failed commit the gateway stops; the messages are handled again when it is back.
        if (error === undefined) {
          this.counters.handled += handled;
          this.counters.emitted += draft.events.length;
          this.counters.published += draft.publishes.length;
          this.counters.deadLettered += draft.deadLetters.length;
        }
        resolve();
      });
    });
  }

  #failure(item: Item, error: GuestError, draft: Draft | undefined): void {
    this.counters.failed++;
    if (draft === undefined) this.counters.retried++;
    else draft.deadLetters.push(deadLetter(item, error, this));
    const ending = draft === undefined ? "; it will be retried" : "; given up, see dead letters";
    const text = `${error.code}: ${error.stack === "" ? error.message : error.stack}${ending}`;
    this.#log(item, [{ level: draft === undefined ? "warn" : "error", message: text }]);
  }

  #log(item: Item, logs: readonly { readonly level: "debug" | "info" | "warn" | "error"; readonly message: string }[]): void {
    for (const { level, message } of logs) {
      this.#parts.logs.add({
        level,
        function: this.name,
        version: this.version,
        invocation: `${item.message.seq}.${item.attempt}`,
        message,
      });
    }
  }
}

/** What a host needs to make an isolate of this version. */
export function loadSpec(bundle: Bundle, filters: readonly TopicFilter[], about: { version: number; gateway: string }): LoadSpec {
  const { name, env, permissions, limits, order } = bundle.manifest;
  return {
    name,
    env,
    version: about.version,
    gateway: about.gateway,
    code: bundle.code,
    triggers: filters.map((filter) => ({ names: [...filter.names] })),
    publish: permissions.publish,
    emit: permissions.emit,
    strict: order === "strict",
    memoryBytes: limits.memoryBytes,
    wallMs: limits.wallMs,
    outputBytes: limits.outputBytes,
    stateValueBytes: limits.stateValueBytes,
  };
}
