import type { Bundle } from "../core/bundle.ts";
import type { Cursor } from "../core/cursor.ts";
import { messageOf } from "../core/errors.ts";
import type { JournaledMessage } from "../core/message.ts";
import type { ItemResult } from "./effects.ts";
import { Feed } from "./feed.ts";
import { FunctionLog } from "./function-log.ts";
import type { FunctionParts } from "./function-parts.ts";
import type { Fault, LoadSpec } from "./host/frames.ts";
import type { InstanceEvents, InstanceHandle } from "./guarded-host.ts";
import type { Place } from "./hosts.ts";
import { Inspecting } from "./inspecting.ts";
import { Idempotency, type Verdict } from "./idempotency.ts";
import type { Item } from "./item.ts";
import type { Outcome, Refusal } from "./lane-owner.ts";
import { BEHIND_MS, Lanes, type LanesOwner } from "./lanes.ts";
import type { FunctionOutside } from "./outside.ts";
import { PatientJournal } from "./patient-journal.ts";
import { Places, withPlaces } from "./places.ts";
import { keyed, type Route, type Routed } from "./route.ts";
import { Settling } from "./settling.ts";
import { type Pressure, Shedding } from "./shedding.ts";
import { Standing } from "./standing.ts";
import type { Trial } from "./trial.ts";
import { Starts } from "./starts.ts";
import { stateAnswer } from "./state-answer.ts";
import { Unkeyed } from "./unkeyed.ts";
import type { Usage } from "./usage.ts";
import { FunctionVersion, loadSpec } from "./version.ts";

/** A version of a function at work: takes its messages from the journal, spreads them over lanes, commits what comes of them. */
export class DeployedFunction extends FunctionVersion implements LanesOwner {
  readonly starts = new Starts();
  readonly outside: FunctionOutside;
  readonly inspecting: Inspecting;
  readonly #parts: FunctionParts<DeployedFunction>;
  readonly #lanes: Lanes;
  readonly #unkeyed = new Unkeyed(this);
  readonly #feed: Feed;
  readonly #spec: LoadSpec;
  readonly #idempotency: Idempotency | undefined;
  readonly #settling: Settling;
  readonly #shedding: Shedding;
  readonly #log: FunctionLog;
  readonly #places: Places;
  readonly #standing: Standing;
  readonly #journal: PatientJournal;
  readonly #stopping = new AbortController();
  #from = 0;
  #loadError: string | undefined;

  constructor(
    target: { readonly name: string; readonly version: number; readonly digest: string },
    bundle: Bundle,
    parts: FunctionParts<DeployedFunction>,
  ) {
    super(target, bundle);
    const { manifest } = bundle;
    const route = (message: Routed): Route<DeployedFunction> | undefined => {
      const found = parts.route(this, message.topic);
      return found === undefined ? undefined : keyed(found, message);
    };
    this.#parts = parts;
    this.#spec = loadSpec(bundle, this.filters, { version: target.version, gateway: parts.gateway });
    this.#idempotency = manifest.idempotency === undefined ? undefined : new Idempotency(manifest.idempotency);
    this.outside = parts.outside.of(bundle);
    const places = (this.#places = new Places(bundle, parts.sourceMaps));
    const redact = (text: string): string => this.outside.secrets.redact(text);
    this.#log = new FunctionLog({ function: manifest.name, version: target.version, ring: parts.logs, drops: parts.drops, places, redact });
    const journal = new PatientJournal(parts.journal, {
      clock: parts.clock,
      stopping: this.#stopping.signal,
      failed: (error) => parts.logger.error({ function: manifest.name, error: messageOf(error) }, "the journal cannot be read"),
      recovered: () => parts.logger.info({ function: manifest.name }, "the journal can be read again"),
    });
    this.#journal = journal;
    this.#settling = new Settling(this, {
      gateway: parts.gateway,
      journal,
      unwritten: parts.unwritten,
      log: this.#log,
      places,
      redact,
      idempotency: this.#idempotency,
      inside: parts,
      rules: parts.outside.rules,
      traces: parts.traces,
      finish: (item) => this.#feed.settled(item),
    });
    this.#standing = new Standing({
      name: manifest.name,
      alone: manifest.isolation === "process",
      proven: parts.isProven(target),
      hasRoom: () => parts.hosts.hasRoom(manifest.name),
      proved: (proven) => parts.proved(this, proven),
      // Not at once: other instances have to learn first what has become of them.
      changed: () => queueMicrotask(() => this.#changed()),
      quarantined: (ms, fault) => this.#tellQuarantine(ms, fault),
    });
    this.inspecting = new Inspecting({ bundle, log: this.#log, hosts: parts.hosts, changed: () => this.recover() });
    this.#lanes = new Lanes(this, manifest);
    this.#shedding = new Shedding({ overflow: manifest.overflow, journal, head: () => parts.head(), route });
    this.#feed = new Feed({
      name: manifest.name,
      routing: this.routing,
      strict: manifest.order === "strict",
      pendingMax: parts.pendingMax,
      memory: parts.memory,
      journal,
      logger: parts.logger,
      head: () => parts.head(),
      route,
      offer: (item) => (item.missing === undefined ? this.#lanes : this.#unkeyed).offer(item),
      next: (from, looked) => parts.next(this, from, looked),
      writeCursor: (cursor, least) => this.#settling.writeCursor(cursor, least),
      pump: () => this.pump(),
      drops: (message, key) => this.#drops(message, key),
      missed: (count) => parts.drops.count("volatile-behind", manifest.name, count),
    });
  }

  get behindMs(): number {
    return this.#parts.behindMs ?? BEHIND_MS;
  }
  get gateway(): string {
    return this.#parts.gateway;
  }
  get counters(): Settling["counters"] {
    return this.#settling.counters;
  }
  get place(): Place {
    return this.inspecting.current?.place ?? this.#standing.place;
  }
  /** Why nothing of it runs for now. */
  get quarantine(): Fault | undefined {
    return this.#standing.quarantine;
  }
  get held(): boolean {
    return (
      this.#standing.quarantine !== undefined ||
      this.#parts.held(this.name) ||
      (this.#settling.emitted & this.#parts.outboxPressure()) !== 0
    );
  }
  get lettersFull(): boolean {
    return this.manifest.overflow === "block" && this.#journal.deadLettersFull;
  }
  get cannotRead(): boolean {
    return this.#journal.isFailing;
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

  /** Whether it is done with a message, or does not come to it any more. */
  isPast(seq: number, key: string): boolean {
    const { cursor } = this.#feed;
    return cursor?.isDone(seq) === true && seq < (cursor.aside.keys.get(key) ?? Infinity);
  }

  /** @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  async warm(): Promise<void> {
    await this.#lanes.warm(this.manifest.warm);
  }

  /** Isolates that it has. */
  get instances(): number {
    return this.#lanes.instances;
  }
  /** When the oldest message arrived that it has in memory and is not done with, in milliseconds since the epoch. */
  get oldest(): number | undefined {
    return this.#lanes.oldest;
  }
  get heapBytes(): number {
    return this.#lanes.heapBytes;
  }
  get usage(): Usage {
    return this.#settling.usage;
  }
  /** Why it has no isolate although it needs one. */
  get loadError(): string | undefined {
    return this.#loadError;
  }

  /** For a version that ran before and does not start now: it keeps its messages and tries again. */
  recover(): void {
    this.#lanes.recover();
    this.pump();
  }

  /** Takes up what the version before it remembered. */
  async remember(): Promise<void> {
    if (this.#idempotency === undefined) await this.#journal.dropMarks(this.name);
    else this.#idempotency.load(await this.#journal.state.marks(this.name));
  }

  /** Begins with the first message that the cursor does not call done. `from` is where this version took over. */
  start(cursor: Cursor, from: number): void {
    this.#from = from;
    this.#settling.begin(cursor);
    this.#feed.start(cursor);
    for (const { code, message } of this.outside.secrets.problems()) this.#log.add({ level: "warn", message: `${code}: ${message}` });
  }

  /** Finishes what is under way and hands over the cursor; whatever follows it is for the next version. */
  async stop(): Promise<Cursor | undefined> {
    this.#feed.stop();
    this.inspecting.stop();
    this.#stopping.abort();
    this.#unkeyed.stop();
    this.#standing.close();
    await this.#lanes.stop();
    this.outside[Symbol.dispose]();
    await this.#settling.onDisk();
    return this.#feed.handOver();
  }

  /** Stops for good, with the gateway: where it begins the next time is written. */
  async close(): Promise<void> {
    const cursor = await this.stop();
    if (cursor !== undefined) this.#settling.writeCursor(cursor, 1);
  }

  /** Writes how far it has looked for its messages. */
  writeCursor(): void {
    this.#feed.writeCursor();
  }

  /** A message that has just come in. */
  offerLive(message: JournaledMessage, route: Route<DeployedFunction>): void {
    this.#feed.live(message, keyed(route, message));
  }

  pump(): void {
    this.#lanes.pump();
    this.#unkeyed.pump();
  }

  /** There is room for dead letters again. */
  lettersFree(): void {
    this.#lanes.lettersFree();
    this.#unkeyed.pump();
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
    this.#settling.leftOut(item);
    this.#feed.settled(item);
    this.#feed.refill();
    return verdict;
  }

  #release(item: Item): void {
    const mark = this.#idempotency?.release(item);
    if (mark !== undefined) this.#lanes.resume(mark);
  }

  goOn(key: string): void {
    this.#feed.goOn(key);
  }

  /** Drops messages, when the manifest chose that, while the journal is full; what is under way is finished. */
  async shed(pressure: Pressure): Promise<void> {
    if (await this.#shedding.update(pressure, this.floor)) this.#purge();
  }

  #purge(): void {
    const { cursor } = this.#feed;
    if (cursor === undefined) return;
    for (const queue of [this.#lanes, this.#unkeyed]) {
      for (const item of queue.purge(({ message, key }) => this.#shedding.isStale(message, key))) {
        this.#drops(item.message, item.key);
        this.#feed.dropped(item);
        this.#release(item);
      }
    }
    this.#settling.commitCursor(cursor);
    this.#feed.refill();
  }

  #drops(message: JournaledMessage, key: string): boolean {
    const stale = this.#shedding.isStale(message, key);
    if (stale) this.#parts.drops.count("journal-overflow", this.name, 1);
    return stale;
  }

  async load(events: InstanceEvents, trial: Trial, owner: object): Promise<InstanceHandle> {
    await this.#standing.passed();
    const { hosts } = this.#parts;
    const inspection = trial === "none" ? this.inspecting.current : undefined;
    let place = inspection?.place ?? this.#standing.placeFor(trial, owner);
    // Others may have taken the last one since; only who has asked for it has to wait then.
    const isPossible = place.kind !== "own" || !place.lasting || this.manifest.isolation === "process" || hosts.hasRoom(this.name);
    if (!isPossible) place = { kind: "probation" };
    const said: InstanceEvents["said"] = (logs) => logs.forEach((log) => this.#log.add(log));
    const all: InstanceEvents = { ...events, said, call: (call) => this.outside.answer(call) };
    const spec = inspection?.specOf(this.#spec) ?? this.#spec;
    const handle = await withPlaces(hosts.load(spec, all, place), this.#places, (text) => this.outside.secrets.redact(text));
    this.#failing(undefined);
    inspection?.loaded(handle);
    this.starts.add(handle.started);
    return handle;
  }

  measured(count: number, wallMs: number, cpuMs: number): void {
    if (this.inspecting.current === undefined) this.#settling.usage.batch(count, wallMs, cpuMs);
  }

  wasCut(): void {
    this.#standing.cut();
  }

  wasParted(items: readonly Item[], fault: Fault): void {
    this.#settling.parted(items, fault);
  }

  killedHost(fault: Fault): void {
    this.#standing.killedHost(fault);
  }

  loadFailed(error: unknown): void {
    this.#log.add({ level: "error", message: messageOf(error) });
    this.#failing(messageOf(error));
    this.inspecting.current?.failed(error);
  }

  #failing(error: string | undefined): void {
    const isNews = error !== this.#loadError;
    this.#loadError = error;
    if (isNews) this.#parts.changed();
  }

  async loadState(keys: readonly string[]): Promise<string> {
    await this.#settling.onDisk();
    return stateAnswer(keys, (key) => this.#journal.loadState(this.name, key));
  }

  freeState<T extends { readonly bytes: number }>(step: () => Promise<T>): Promise<T> {
    return this.#settling.freeState(step);
  }

  prepare(items: readonly Item[], results: readonly ItemResult[]): Promise<void> | undefined {
    return this.#settling.prepare(items, results);
  }

  settle(outcomes: readonly Outcome[]): Refusal | undefined {
    const { cursor } = this.#feed;
    if (cursor === undefined) throw new Error("a lane settles before its function has started");
    const { finished, refused } = this.#settling.settle(outcomes, cursor);
    if (finished < outcomes.length && this.#shedding.drops) this.#purgeLate(outcomes);
    if (finished === 0) return refused;
    // What it was not tried with says nothing about it.
    if (outcomes[0]?.item.missing === undefined) this.#standing.handled(finished);
    // Whoever waited for these messages is left out from here on, in a later cursor.
    for (const { item, result, dead } of outcomes) if (dead || result.status === "done") this.#release(item);
    this.#feed.refill();
    return refused;
  }

  #changed(): void {
    this.#parts.changed();
    this.pump();
  }

  #tellQuarantine(ms: number, { code, message }: Fault): void {
    const text = `FUNCTION_QUARANTINED: nothing of it runs for ${ms / 1_000} s, because host processes keep dying of it; the last time: ${code}: ${message}`;
    this.#parts.logs.add({ level: "error", function: this.name, version: this.version, message: text });
    this.#parts.logger.error({ function: this.name, version: this.version, ms, code }, "a function is quarantined");
    queueMicrotask(() => this.#changed());
  }

  /** What was under way when others like it were dropped may have failed. Not at once: the lane has to take back first what comes again. */
  #purgeLate(outcomes: readonly Outcome[]): void {
    if (outcomes.some(({ item }) => this.#shedding.isStale(item.message, item.key))) queueMicrotask(() => this.#purge());
  }
}
