import type { Bundle } from "../core/bundle.ts";
import type { Cursor } from "../core/cursor.ts";
import { messageOf } from "../core/errors.ts";
import { eventId, type OutboxEvent } from "../core/event.ts";
import type { Logger } from "../core/log.ts";
import { compilePermissions, type Overflow, type Permissions } from "../core/manifest.ts";
import { decodeMessage, type JournaledMessage, peekMessage } from "../core/message.ts";
import { parseTopicFilter, type TopicFilter } from "../core/topic.ts";
import type { DeadLetter } from "../core/stats.ts";
import type { GuestError, ItemEffects } from "./effects.ts";
import type { LoadSpec } from "./host/frames.ts";
import type { HostPool, InstanceEvents, InstanceHandle } from "./hosts.ts";
import { type Item, Lane, type LaneOwner, type Outcome } from "./lane.ts";
import type { LogRing } from "./logs.ts";
import { laneOf, type Route } from "./route.ts";
import type { Turns } from "./turns.ts";

/** A message that enters the journal from inside. */
export interface Derived {
  readonly topic: string;
  readonly time: number;
  readonly hops: number;
  readonly record: Uint8Array;
}

export interface FunctionCommit {
  readonly consumer: string;
  readonly cursor: Cursor;
  readonly state: readonly { readonly key: string; readonly name: string; readonly value?: Buffer }[];
  readonly events: readonly OutboxEvent[];
  readonly publishes: readonly Uint8Array[];
  readonly derived: readonly Derived[];
  readonly deadLetters: readonly DeadLetter[];
  /** What happens when there is no room for dead letters. */
  readonly overflow: Overflow;
}

/** What the runtime needs of the journal. */
export interface RuntimeJournal {
  commit(commit: FunctionCommit, done: (error?: Error) => void): void;
  read(from: number, max: number): Promise<readonly JournaledMessage[]>;
  loadState(functionName: string, key: string): Promise<readonly { name: string; value: Buffer }[]>;
}

export interface FunctionParts {
  readonly gateway: string;
  readonly hosts: HostPool;
  readonly journal: RuntimeJournal;
  readonly logs: LogRing;
  readonly logger: Logger;
  /** Messages that a function holds in memory. */
  readonly pendingMax: number;
  /** Seq after the newest message that came in. */
  head(): number;
  /** Whether functions have to wait because what they publish is not taken. */
  held(): boolean;
  route(owner: DeployedFunction, topic: string): Route<DeployedFunction> | undefined;
  /** Whether a message with this topic wakes anything. */
  matches(topic: string): boolean;
}

const HOPS_MAX = 16;
const READ_MESSAGES = 1024;
const PENDING_BYTES_MAX = 64 * 1024 * 1024;

/** A version of a function at work: takes its messages from the journal, spreads them over lanes, commits what comes of them. */
export class DeployedFunction implements LaneOwner {
  readonly bundle: Bundle;
  readonly version: number;
  readonly digest: string;
  readonly filters: readonly TopicFilter[];
  readonly counters = { handled: 0, failed: 0, retried: 0, deadLettered: 0, emitted: 0, published: 0 };
  readonly #parts: FunctionParts;
  readonly #lanes: readonly Lane[];
  readonly #permissions: Permissions;
  readonly #spec: LoadSpec;
  #cursor: Cursor | undefined;
  #from = 0;
  /** Everything below has been offered to the lanes or does not concern the function. */
  #position = 0;
  /** One after the last message that was offered. */
  #offered = 0;
  /** Whether new messages are taken as they come; otherwise they are read from the journal. */
  #live = false;
  #reading = false;
  #stopping = false;
  #pending = 0;
  #pendingBytes = 0;
  #settled: Promise<unknown> = Promise.resolve();

  constructor(target: { version: number; digest: string }, bundle: Bundle, parts: FunctionParts) {
    this.bundle = bundle;
    this.version = target.version;
    this.digest = target.digest;
    this.#parts = parts;
    const { manifest } = bundle;
    this.filters = manifest.triggers.map((trigger) => parseTopicFilter(trigger.mqtt));
    this.#permissions = compilePermissions(manifest.permissions);
    this.#spec = loadSpec(bundle, this.filters, { version: target.version, gateway: parts.gateway });
    this.#lanes = Array.from({ length: manifest.concurrency }, () => new Lane(this));
  }

  get name(): string {
    return this.bundle.manifest.name;
  }
  get manifest(): Bundle["manifest"] {
    return this.bundle.manifest;
  }
  get turns(): Turns {
    return this.#parts.hosts.turns;
  }
  get held(): boolean {
    return this.#parts.held();
  }
  get from(): number {
    return this.#from;
  }
  /** Messages below this seq are done with. */
  get floor(): number {
    const floor = this.#cursor?.floor ?? 0;
    if (floor < this.#offered) return floor;
    return this.#live ? this.#parts.head() : Math.max(floor, this.#position);
  }
  get backlog(): number {
    return this.#pending + (this.#live ? 0 : Math.max(0, this.#parts.head() - this.#position));
  }

  /** @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  async warm(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.warm()));
  }

  /** For a version that ran before and does not start now: it keeps its messages and tries again. */
  recover(): void {
    for (const lane of this.#lanes) lane.recover();
  }

  /** Begins with the first message that the cursor does not call done. `from` is where this version took over. */
  start(cursor: Cursor, from: number): void {
    this.#cursor = cursor;
    this.#from = from;
    this.#position = cursor.floor;
    this.#offered = cursor.floor;
    void this.#catchUp();
  }

  /** Finishes what is under way and hands over the cursor; whatever follows it is for the next version. */
  async stop(): Promise<Cursor | undefined> {
    const cursor = this.#cursor;
    if (this.#live) this.#position = this.#parts.head();
    this.#live = false;
    this.#stopping = true;
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
    await this.#settled;
    // What came by and did not concern this version is not left to the next one, which may have other triggers.
    if (cursor !== undefined && cursor.floor >= this.#offered) cursor.complete(cursor.floor, this.#position);
    this.#cursor = undefined;
    return cursor;
  }

  /** A message that has just come in. Those that come while the function is behind are read from the journal later. */
  offerLive(message: JournaledMessage, route: Route<DeployedFunction>): void {
    if (!this.#live || message.seq < this.#position) return;
    if (this.#full()) {
      this.#live = false;
      this.#position = message.seq;
      return;
    }
    this.#offer(message, route);
    this.#position = message.seq + 1;
  }

  pump(): void {
    for (const lane of this.#lanes) lane.pump();
  }

  #full(): boolean {
    return this.#pending >= this.#parts.pendingMax || this.#pendingBytes >= PENDING_BYTES_MAX;
  }

  #offer(message: JournaledMessage, route: Route<DeployedFunction>): void {
    const { index: trigger, key, keyBytes } = route;
    const item: Item = { message, start: this.#offered, trigger, key, keyBytes, attempt: 1, resume: false, suspect: false };
    this.#offered = message.seq + 1;
    this.#pending++;
    this.#pendingBytes += message.record.length;
    this.#lanes[laneOf(key, this.#lanes.length)]?.offer(item);
  }

  /** Reads on from the position until the function is full or has met the newest message. */
  async #catchUp(): Promise<void> {
    if (this.#reading || this.#live) return;
    this.#reading = true;
    try {
      while (this.#cursor !== undefined && !this.#stopping && !this.#live && !this.#full()) {
        // What is written while reading is neither read nor offered, so the head of before counts.
        const head = this.#parts.head();
        const messages = await this.#parts.journal.read(this.#position, READ_MESSAGES);
        if (this.#stopping) return;
        this.#take(messages, head, this.#cursor);
        this.pump();
      }
    } catch (error) {
      this.#parts.logger.error({ function: this.name, error: messageOf(error) }, "the journal cannot be read");
    } finally {
      this.#reading = false;
    }
  }

  #take(messages: readonly JournaledMessage[], head: number, cursor: Cursor): void {
    for (const message of messages) {
      if (this.#full()) return;
      const route = cursor.isDone(message.seq) ? undefined : this.#parts.route(this, message.topic);
      if (route !== undefined) this.#offer(message, route);
      this.#position = message.seq + 1;
    }
    if (messages.length === 0) this.#position = Math.max(this.#position, head);
    this.#live = this.#position >= this.#parts.head();
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

  settle(outcomes: readonly Outcome[]): Item | undefined {
    const cursor = this.#cursor;
    if (cursor === undefined) throw new Error("a lane settles before its function has started");
    const draft: Draft = { state: [], events: [], publishes: [], derived: [], deadLetters: [] };
    let finished = 0;
    let refused: Item | undefined;
    for (const { item, result, dead } of outcomes) {
      if (result.status === "deferred") continue;
      this.#log(item, result.logs);
      const error = result.status === "done" ? this.#collect(item, result.effects, draft) : result.error;
      if (result.status === "done" && error !== undefined) refused = item;
      const given = dead || result.status === "done";
      if (error !== undefined) this.#failure(item, error, given ? draft : undefined);
      if (error !== undefined && !given) continue;
      finished++;
      this.#pendingBytes -= item.message.record.length;
      cursor.complete(item.start, item.message.seq + 1);
      if (refused !== undefined) break;
    }
    if (finished === 0) return undefined;
    this.#pending -= finished;
    this.#commit(draft, cursor);
    if (!this.#live && this.#pending < this.#parts.pendingMax / 2) void this.#catchUp();
    return refused;
  }

  #commit(draft: Draft, cursor: Cursor): void {
    const handled = draft.handled ?? 0;
    this.#settled = new Promise<void>((resolve) => {
      this.#parts.journal.commit({ consumer: this.name, cursor, overflow: this.manifest.overflow, ...draft }, (error) => {
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

  /** Adds the effects of one item to the draft, or says what is wrong with them. */
  #collect(item: Item, effects: ItemEffects, draft: Draft): GuestError | undefined {
    const derived: Derived[] = [];
    for (const record of effects.publishes) {
      const { topic, time } = peekMessage(record, 0);
      if (!this.#permissions.mayPublish(topic))
        return refusal("PERMISSION_DENIED", `publishing to "${topic}" is not allowed by permissions.publish`);
      const hops = item.message.hops + 1;
      record[5] = hops;
      if (!this.#parts.matches(topic)) continue;
      if (hops > HOPS_MAX)
        return refusal("LIMIT_HOPS", `the message has come through ${item.message.hops} functions and would wake another`);
      derived.push({ topic, time, hops, record });
    }
    const forbidden = effects.events.find((event) => !this.#permissions.mayEmit(event.type));
    if (forbidden !== undefined) return refusal("PERMISSION_DENIED", `emitting "${forbidden.type}" is not allowed by permissions.emit`);
    draft.handled = (draft.handled ?? 0) + 1;
    draft.publishes.push(...effects.publishes);
    draft.derived.push(...derived);
    for (const { name, value } of effects.state) draft.state.push({ key: item.key, name, ...(value === undefined ? {} : { value }) });
    effects.events.forEach((event, index) => {
      const id = eventId(this.#parts.gateway, item.message.seq, this.name, index);
      draft.events.push({ ...event, id, function: this.name, version: this.version, time: item.message.time });
    });
    return undefined;
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

interface Draft {
  readonly state: { key: string; name: string; value?: Buffer }[];
  readonly events: OutboxEvent[];
  readonly publishes: Uint8Array[];
  readonly derived: Derived[];
  readonly deadLetters: DeadLetter[];
  handled?: number;
}

function refusal(code: string, message: string): GuestError {
  return { code, name: "Error", message, stack: "" };
}

function deadLetter(item: Item, error: GuestError, owner: DeployedFunction): DeadLetter {
  const { seq, topic, time, record } = item.message;
  const { payload } = decodeMessage(record);
  return {
    seq,
    topic,
    time,
    function: owner.name,
    version: owner.version,
    attempts: item.attempt,
    code: error.code,
    error: error.message,
    payload: Buffer.from(payload).toString("base64"),
  };
}

/** What a host needs to make an isolate of this version. */
export function loadSpec(bundle: Bundle, filters: readonly TopicFilter[], about: { version: number; gateway: string }): LoadSpec {
  const { name, env, permissions, limits } = bundle.manifest;
  return {
    name,
    env,
    version: about.version,
    gateway: about.gateway,
    code: bundle.code,
    triggers: filters.map((filter) => ({ names: [...filter.names] })),
    publish: permissions.publish,
    emit: permissions.emit,
    memoryBytes: limits.memoryBytes,
    wallMs: limits.wallMs,
    outputBytes: limits.outputBytes,
    stateValueBytes: limits.stateValueBytes,
  };
}
