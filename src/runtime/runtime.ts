import type { Bundle } from "../core/bundle.ts";
import { systemClock } from "../core/clock.ts";
import { Cursor } from "../core/cursor.ts";
import { MillraceError, messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import type { JournaledMessage, Message } from "../core/message.ts";
import type { FunctionStats, InvokeResult } from "../core/stats.ts";
import type { DeploymentJournal } from "./deployment-journal.ts";
import { DeployedFunction } from "./function.ts";
import type { FunctionParts } from "./function-parts.ts";
import { Finder } from "./finder.ts";
import { type Failure, failedStats, recordedOf, runningStats } from "./function-stats.ts";
import { HttpDesk } from "./http-desk.ts";
import { Holds } from "./holds.ts";
import { HostPool } from "./hosts.ts";
import { invokeIn, type InvokeOptions } from "./invoke.ts";
import { LogRing } from "./logs.ts";
import { Milestones } from "./milestones.ts";
import { Outside } from "./outside.ts";
import type { RuntimeOptions } from "./runtime-options.ts";
import type { Pressure } from "./shedding.ts";
import { recordedState, refuseOlderState } from "./state-version.ts";
import { StateSizes } from "./state-sizes.ts";
import { StateSweeper, type SweptFunction } from "./state-sweeper.ts";
import { SourceMaps } from "./places.ts";
import { PendingBytes } from "./pending-bytes.ts";
import { type FunctionProgress, progressOf } from "./progress.ts";
import { Resting } from "./resting.ts";
import { Scheduler } from "./schedule/scheduler.ts";
import { RouteTable, type Wake } from "./route.ts";
import { Unwritten } from "./unwritten.ts";
import type { RecordedFunction } from "./usage-recorder.ts";

/** What messages that wait for functions take of memory. */
const PENDING_BYTES_MAX = 128 * 1024 * 1024;
/** What is under way gets this long to finish when the gateway stops. */
const CLOSE_MS_MAX = 1_000;

export interface Target {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
}

/** The functions of a gateway: which there are, which messages wake them, and the hosts that run them. */
export class Runtime implements AsyncDisposable {
  readonly logs: LogRing;
  /** Requests for functions. */
  readonly http: HttpDesk;
  readonly close: () => Promise<void>;
  readonly #options: RuntimeOptions;
  readonly #journal: DeploymentJournal;
  readonly #hosts: HostPool;
  readonly #functions = new Map<string, DeployedFunction>();
  readonly #failures = new Map<string, Failure>();
  readonly #parts: FunctionParts<DeployedFunction>;
  readonly #stateSizes: StateSizes;
  readonly #sweeper: StateSweeper;
  readonly #scheduler: Scheduler;
  /** Undefined after a change, until it is needed: a start with a thousand functions is a thousand changes. */
  #table: RouteTable<DeployedFunction> | undefined;
  readonly #resting: Resting;
  readonly #milestones: Milestones;
  #head: number;
  readonly #holds = new Holds();
  #changes: Promise<unknown> = Promise.resolve();
  /** The version that is about to take over. */
  #taking: DeployedFunction | undefined;
  #outboxPressure = 0;
  #closing = false;
  /** Whether the journal is at its quota, also for versions that take over meanwhile. */
  #pressure: Pressure = { over: false };

  private constructor(options: RuntimeOptions, journal: DeploymentJournal, logger: Logger) {
    this.#options = options;
    this.logs = options.logs ?? new LogRing();
    this.#journal = journal;
    this.#head = journal.nextSeq;
    this.#milestones = new Milestones(options.milestone);
    this.#resting = new Resting(() => journal.functionRecords, this.#functions);
    this.#stateSizes = new StateSizes((name) => journal.state.bytes(name), logger);
    const find = (name: string): SweptFunction => this.#functions.get(name) ?? { floor: journal.restingFloor((other) => other !== name) };
    this.#sweeper = new StateSweeper({ state: journal.expiry, clock: systemClock, logger, nextSeq: () => journal.nextSeq, find });
    const { hosts: shared, ownHostsMax: ownMax, hostMemoryMax: memoryMax } = options;
    const limits = {
      groups: options.hostGroups,
      ...(ownMax === undefined ? {} : { ownMax }),
      ...(memoryMax === undefined ? {} : { memoryMax }),
    };
    const unwritten = new Unwritten(() => this.#hosts.serve());
    this.#hosts = new HostPool({ shared, ...limits, gate: unwritten }, logger);
    const { clock = systemClock } = options;
    this.#scheduler = new Scheduler({ clock, ticks: journal.ticks, logs: this.logs, logger, wakes: (topic) => this.matches(topic) });
    this.http = new HttpDesk({ gateway: options.gateway, clock, journal, wakes: (topic) => this.matches(topic) });
    const finder = new Finder<DeployedFunction>({
      read: (from, max) => journal.read(from, max),
      owners: (topic) => this.#routes.match(topic),
      head: () => this.#head,
    });
    this.#parts = {
      gateway: options.gateway,
      clock: systemClock,
      pendingMax: options.pendingMax,
      memory: new PendingBytes(PENDING_BYTES_MAX),
      hosts: this.#hosts,
      journal,
      unwritten,
      logger,
      logs: this.logs,
      outside: new Outside(options.outside),
      traces: options.traces,
      sourceMaps: new SourceMaps(),
      drops: options.drops,
      head: () => this.#head,
      next: (owner, from, looked) => finder.find(owner, from, looked),
      held: (name) => this.#holds.isHeld(name),
      outboxPressure: () => this.#outboxPressure,
      wakes: (topic) => this.matches(topic),
      listensToEvents: () => this.#routes.listens("event") || this.#resting.listens("event"),
      answer: (seq, result) => this.http.give(seq, result),
      isProven: ({ name, version, digest }) => {
        const known = journal.functionRecord(name);
        return known?.digest === digest && known.version === version && known.proven === true;
      },
      changed: () => options.changed?.(),
      proved: (owner, proven) => this.#proved(owner, proven),
      route: (owner, topic) => this.#routes.match(topic).find((route) => route.owner === owner),
    };
    this.close = once(async () => {
      this.#closing = true;
      await this.#scheduler.close();
      const all = this.#taking === undefined ? this.#functions.values() : [...this.#functions.values(), this.#taking];
      const stopped = Promise.all([...all].map((deployed) => deployed.close()));
      // Whatever takes longer is handled again after the next start.
      const late = new AbortController();
      await Promise.race([stopped, systemClock.sleep(CLOSE_MS_MAX, late.signal)]).finally(() => late.abort());
      await this.#hosts.close();
      await this.#stateSizes[Symbol.asyncDispose]();
      await this.#sweeper[Symbol.asyncDispose]();
    });
  }

  /** Functions handle nothing before `begin`. @throws MillraceError HOST_CRASHED when host processes cannot be started here */
  static async start(options: RuntimeOptions, journal: DeploymentJournal, logger: Logger): Promise<Runtime> {
    const runtime = new Runtime(options, journal, logger);
    try {
      await runtime.#hosts.ready();
      return runtime;
    } catch (error) {
      await runtime.#hosts.close();
      throw error;
    }
  }

  /** Whether a message with this topic wakes a function, and so belongs into the journal, and how. */
  matches(topic: string): Wake {
    if (this.#resting.wants(topic)) return "durable";
    if (this.#pressure.over && this.#dropsNew(topic)) return "none";
    return this.#routes.wakes(topic);
  }

  /** While the journal is full, whether everybody whom a message would wake has chosen to miss new ones; it is counted then. */
  #dropsNew(topic: string): boolean {
    const routes = this.#routes.match(topic);
    if (routes.length === 0 || this.#routes.wakes(topic) === "volatile") return false;
    if (routes.some(({ owner }) => owner.manifest.overflow !== "drop-newest")) return false;
    for (const { owner } of routes) this.#options.drops.count("journal-overflow", owner.name, 1);
    return true;
  }

  /** The journal is at its quota, or not any more: functions drop what their manifests allow. */
  shed(pressure: Pressure): void {
    this.#pressure = pressure;
    for (const deployed of this.#functions.values()) this.#tell(deployed);
  }

  #tell(deployed: DeployedFunction): void {
    deployed.shed(this.#pressure).catch((error: unknown) => {
      this.#parts.logger.error({ function: deployed.name, error: messageOf(error) }, "the journal cannot be read");
    });
  }

  /** New messages are on their way to the disk; they go to the functions without being read back. */
  accept(messages: readonly JournaledMessage[]): void {
    const last = messages.at(-1);
    if (last === undefined) return;
    this.#head = last.seq + 1;
    this.#options.traces?.arrived(messages);
    const woken = new Set<DeployedFunction>();
    for (const message of messages) {
      for (const route of this.#routes.match(message.topic)) {
        route.owner.offerLive(message, route);
        woken.add(route.owner);
      }
    }
    for (const deployed of woken) deployed.pump();
    if (this.#milestones.isPassed(messages)) for (const deployed of this.#functions.values()) deployed.writeCursor();
  }

  /**
   * The functions that ran before are deployed again, and all of them begin. Not one after another: what one publishes would be lost for
   * another that is not there yet.
   */
  begin(): void {
    this.#holds.restored();
    for (const deployed of this.#functions.values()) deployed.pump();
    this.#sweeper.start();
    this.#scheduler.begin();
  }

  /** Lets the function begin nothing new while subscribers are too far behind with what it publishes. */
  hold(name: string, on: boolean): void {
    this.#holds.slow(name, on);
    if (!on) this.#functions.get(name)?.pump();
  }

  /** Lets no function begin anything new that emits where the outbox has no room, see `pressureOf`. */
  outboxPressure(pressure: number): void {
    this.#outboxPressure = pressure;
    for (const deployed of this.#functions.values()) deployed.pump();
  }

  /** Functions that would rather wait than lose a dead letter go on. */
  lettersFree(): void {
    for (const deployed of this.#functions.values()) deployed.lettersFree();
  }

  /**
   * Makes `target` the version that handles the function's messages. It is warmed first, unless it ran before the gateway was started. Then
   * the version before it finishes what it has under way, and the new one goes on from exactly there. Changes are made one after another.
   * @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED; what ran before goes on
   */
  deploy(target: Target, bundle: Bundle): Promise<void> {
    return this.#change(async () => {
      const before = this.#functions.get(target.name);
      if (before?.digest === target.digest && before.version === target.version) {
        this.#failures.delete(target.name);
        return;
      }
      const next = new DeployedFunction(target, bundle, this.#parts);
      try {
        this.http.check(next);
        refuseOlderState(bundle.manifest, this.#journal.functionRecord(target.name));
        if (before !== undefined || next.manifest.warm > 0 || !this.#ranBefore(next)) await next.warm();
      } catch (error) {
        this.refuse(target, error);
        await this.#giveUp(before, next);
        throw error;
      }
      try {
        await this.#switch(before, next);
      } catch (error) {
        await next.stop();
        throw error;
      }
      this.#failures.delete(target.name);
    });
  }

  #ranBefore({ name, digest }: Target): boolean {
    return this.#journal.functionRecord(name)?.digest === digest;
  }

  /** The version before goes on. One that ran before the last stop takes its place all the same: its messages are to be journaled and to wait. */
  async #giveUp(before: DeployedFunction | undefined, next: DeployedFunction): Promise<void> {
    if (before !== undefined || !this.#ranBefore(next)) return next.stop().then(() => undefined);
    await this.#switch(undefined, next);
    next.recover();
  }

  async #switch(before: DeployedFunction | undefined, next: DeployedFunction): Promise<void> {
    const { name, version, digest } = next;
    const cursor = (await before?.stop()) ?? (await this.#journal.cursor(name)) ?? new Cursor(this.#journal.nextSeq);
    const known = this.#journal.functionRecord(name);
    const same = known?.digest === digest && known.version === version;
    const from = same ? known.from : cursor.floor;
    if (!same || known.filters === undefined)
      await this.#journal.saveFunction(
        name,
        { ...(same ? known : {}), version, digest, from, filters: next.durableFilters, ...recordedState(next.manifest) },
        cursor,
      );
    if (this.#closing) {
      await next.stop();
      throw new MillraceError("JOURNAL_CLOSED", `the gateway is stopping; version ${version} of "${name}" takes over at the next start`);
    }
    this.#taking = next;
    await next.remember().finally(() => (this.#taking = undefined));
    Object.assign(next.counters, before?.counters);
    if (before !== undefined) {
      next.starts.merge(before.starts.stats);
      next.usage.goOnFrom(before.usage.totals);
    }
    this.#functions.set(name, next);
    this.#reroute();
    next.start(cursor, from);
    if (this.#pressure.over) this.#tell(next);
    this.logs.add({ level: "info", function: name, version, message: `version ${version} handles messages from position ${from} on` });
    await this.#scheduler.set(next);
  }

  #proved(owner: DeployedFunction, proven: boolean): void {
    if (this.#functions.get(owner.name) !== owner) return;
    this.#journal.saveProof(owner.name, proven).catch((error: unknown) => {
      this.#parts.logger.error({ function: owner.name, error: messageOf(error) }, "what a function has proved cannot be written down");
    });
  }

  /** The function handles nothing more; its state stays. */
  remove(name: string): Promise<void> {
    return this.#change(async () => {
      this.#failures.delete(name);
      const deployed = this.#functions.get(name);
      this.#functions.delete(name);
      this.#stateSizes.forget(name);
      this.#reroute();
      await deployed?.stop();
      if (deployed !== undefined)
        this.logs.add({ level: "info", function: name, version: deployed.version, message: "it is not deployed any more" });
      if (this.#journal.functionRecord(name) === undefined) return;
      await this.#scheduler.remove(name);
      await this.#journal.removeFunction(name);
      this.#resting.update();
      await this.#journal.dropMarks(name);
    });
  }

  /** A version that never got as far as being loaded, such as one with a wrong digest; shown with the function until another takes over. */
  refuse(target: Target, error: unknown): void {
    const [{ name, version }, message] = [target, messageOf(error)];
    this.#failures.set(name, { ...target, error: message });
    this.logs.add({ level: "error", function: name, version, message: `version ${version} cannot take over: ${message}` });
  }

  /** The versions that handled messages last, whether they are at work now or not. */
  get known(): readonly Target[] {
    return [...this.#journal.functionRecords].map(([name, { version, digest }]) => ({ name, version, digest }));
  }

  /** What runs under this name. */
  deployed(name: string): DeployedFunction | undefined {
    return this.#functions.get(name);
  }

  /** Where the functions stand with a message that wakes them. */
  progress(message: Parameters<typeof progressOf>[1]): readonly FunctionProgress[] {
    return progressOf(this.#routes.match(message.topic), message);
  }

  /** @throws MillraceError FUNCTION_UNKNOWN, and what invokeIn throws */
  async invoke(name: string, message: Message, options: InvokeOptions = { fetch: false }): Promise<InvokeResult> {
    const deployed = this.#functions.get(name);
    if (deployed === undefined) throw new MillraceError("FUNCTION_UNKNOWN", `no function "${name}" is deployed on this gateway`);
    const { bundle, version, outside } = deployed;
    const { gateway } = this.#options;
    const ways = { call: outside.tried(options), redact: (text: string) => outside.secrets.redact(text) };
    return invokeIn(bundle, message, { hosts: this.#hosts, gateway, version, ...ways, state: (key) => this.#journal.loadState(name, key) });
  }

  stats(): { hosts: number; hostRestarts: number; isolatesEvicted: number; functions: FunctionStats[] } {
    const about = { sizes: this.#stateSizes, holds: this.#holds };
    const running = [...this.#functions.values()].map((each) => runningStats(each, this.#failures.get(each.name), about));
    const failed = [...this.#failures.values()].filter(({ name }) => !this.#functions.has(name)).map(failedStats);
    const { size, restarts, evicted } = this.#hosts;
    return { hosts: size, hostRestarts: restarts, isolatesEvicted: evicted, functions: [...running, ...failed] };
  }

  /** What is written down of each function that runs. */
  recorded(): readonly RecordedFunction[] {
    return [...this.#functions.values()].map(recordedOf);
  }

  /** Every function is done with the messages below this seq, also those that could not be started again so far. */
  get floor(): number {
    const resting = this.#journal.restingFloor((name) => this.#functions.has(name));
    return Math.min(this.#head, resting, ...[...this.#functions.values()].map(({ floor }) => floor));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #reroute(): void {
    this.#table = undefined;
    this.#resting.update();
    this.http.update([...this.#functions.values()]);
  }

  get #routes(): RouteTable<DeployedFunction> {
    return (this.#table ??= RouteTable.of(this.#functions.values()));
  }

  #change(work: () => Promise<void>): Promise<void> {
    const result = this.#changes.then(work);
    this.#changes = result.catch(() => undefined); // The caller gets the error; the next change does not depend on it.
    return result;
  }
}
