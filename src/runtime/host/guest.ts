import { encodeAnswer } from "./guest-answer.ts";
import { type BatchOwner, DEFERRED, handleAll } from "./guest-batch.ts";
import { CALL_SECRET } from "./guest-call-kinds.ts";
import { calls } from "./guest-calls.ts";
import { u16, u32 } from "./guest-codec.ts";
import { Context, initContext } from "./guest-context.ts";
import { Effects, encodeFailure, LEVELS } from "./guest-effects.ts";
import { GuestEvent } from "./guest-event.ts";
import { installFetch } from "./guest-fetch.ts";
import { installRandom } from "./guest-random.ts";
import type { Migrate } from "./guest-migrate.ts";
import { Migrations } from "./guest-migrations.ts";
import { StateCache } from "./guest-state.ts";
import { SHARED_KEY } from "./guest-state-names.ts";
import { installTimers, timers } from "./guest-timers.ts";
import type { GuestHost, GuestOptions, GuestRuntime, GuestTrace } from "./guest-types.ts";

/**
 * What runs inside an isolate around the user's code. The text of the guest modules is compiled into every isolate, so they import
 * nothing but one another, and nothing in them is trusted by the gateway: user code shares their realm.
 *
 * Batches and results are strings in which every character is one byte. Such a string crosses into and out of an isolate as a plain copy,
 * and text inside it is sliced, not decoded, as long as it is ASCII. The layouts are described in ../frames.ts.
 */
interface Definition {
  handler?(event: GuestEvent, ctx: object): unknown;
  batch?(events: readonly GuestEvent[], ctx: object): unknown;
  init?(ctx: object): unknown;
  readonly migrate?: Migrate;
}

interface Current {
  readonly effects: Effects;
  readonly startedAt: number;
  /** It is `init`, which belongs to no message. */
  readonly isInit?: boolean;
  /** Messages that are handled at once. */
  readonly events: number;
  /** The only one of them. */
  readonly event?: GuestEvent | undefined;
}

/** Drives the handler. `exported` is what the bundle left behind. */
export function createGuest(exported: unknown, options: GuestOptions, host: GuestHost): GuestRuntime {
  const guest = new Guest(definitionOf(exported, options), options, host);
  installConsole((level, values) => guest.log(level, values));
  calls.attach({
    mayAsk: (what) => guest.mayAsk(what),
    get trace(): GuestTrace | undefined {
      return guest.trace;
    },
    call: (request, what, head, body) => host.call(request, what, head, body),
    callOff: (request) => host.callOff(request),
    bodyBytesMax: options.fetchBytes,
  });
  timers.attach({
    get busy(): boolean {
      return guest.busy;
    },
    wakeIn: (ms) => host.wakeIn(ms),
    report: (error) => guest.log(LEVELS.indexOf("error"), [error]),
  });
  return {
    init: guest.hasInit ? () => guest.init() : undefined,
    start: (batch) => guest.start(batch),
    take: () => guest.take(),
    finish: () => guest.finish(),
    stateLoaded: (request, entries) => guest.stateLoaded(request, entries),
    answered: (request, head, body) => calls.answered(request, head, body),
    wake: (elapsedMs) => guest.wake(elapsedMs),
    salvage: () => guest.salvage(),
  };
}

/** Everything of `GuestRuntime` that is about messages. */
class Guest implements Omit<GuestRuntime, "answered"> {
  readonly #definition: Definition;
  readonly #options: GuestOptions;
  readonly #state: StateCache;
  /** Undefined as long as what is stored has never changed its shape. */
  readonly #migrations: Migrations | undefined;
  /** Undefined when messages are handled one by one. */
  readonly #batch: BatchOwner | undefined;
  readonly #failedKeys = new Set<string>();
  #results = "";
  #count = 0;
  #current: Current | undefined;
  #cut = false;
  #running: Promise<string> = Promise.resolve("");
  #finished: string | undefined;

  constructor(definition: Definition, options: GuestOptions, host: GuestHost) {
    this.#definition = definition;
    this.#options = options;
    this.#state = new StateCache(host, options.stateVersion);
    const migrate: Migrate = (entries, from, ctx) => definition.migrate?.(entries, from, ctx);
    this.#migrations = options.stateVersion > 1 ? new Migrations({ cache: this.#state, options, migrate }) : undefined;
    this.#batch = options.batch ? this.#batchOwner() : undefined;
  }

  #batchOwner(): BatchOwner {
    return {
      parts: { options: this.#options, state: this.#state },
      migrations: this.#migrations,
      batch: (events, ctx) => this.#definition.batch?.(events, ctx),
      admits: (event) => this.#admits(event),
      waits: (key) => this.#failedKeys.has(key),
      begin: (effects, events) => {
        const startedAt = Date.now();
        const [event] = events;
        this.#current = { effects, startedAt, events: events.length, event: events.length === 1 ? event : undefined };
        return startedAt;
      },
      over: () => this.#over(),
      fail: (error, event, effects) => this.#fail(error, event, effects),
      add: (result) => this.#add(result),
    };
  }

  start(batch: string): void {
    this.#begin(this.#run(batch));
  }

  get hasInit(): boolean {
    return this.#definition.init !== undefined;
  }

  init(): void {
    this.#begin(this.#init());
  }

  #begin(running: Promise<string>): void {
    this.#finished = undefined;
    this.#running = running.then((results) => (this.#finished = results));
  }

  take(): string | undefined {
    return this.#finished;
  }

  finish(): Promise<string> {
    return this.#running;
  }

  stateLoaded(request: number, entries: string): void {
    this.#state.loaded(request, entries);
  }

  wake(elapsedMs: number): void {
    timers.ring(elapsedMs);
  }

  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** Whether a message is being handled, for which the gateway answers, or `init`, which gets secrets only. */
  mayAsk(what: number): boolean {
    if (this.#current === undefined || this.#migrations?.running === true) return false;
    return this.#current.isInit !== true || what === CALL_SECRET;
  }

  /** Of the message that is being handled, if it is one. */
  get trace(): GuestTrace | undefined {
    return this.#current?.event?.trace;
  }

  salvage(): string {
    this.#cut = true;
    // Of several that are handled at once nobody is known to be the cause.
    const elapsed = this.#current?.events === 1 ? Date.now() - this.#current.startedAt : 0;
    return u16(this.#count) + u32(Math.max(0, elapsed)) + this.#results;
  }

  log(level: number, values: readonly unknown[]): void {
    this.#current?.effects.log(level, values);
  }

  /** What it has logged, as the result of a message that wants nothing else. */
  async #init(): Promise<string> {
    const effects = new Effects(0);
    this.#current = { effects, startedAt: Date.now(), events: 1, isInit: true };
    try {
      await this.#definition.init?.(initContext(this.#options, effects));
      return effects.encode();
    } catch (error) {
      return encodeFailure(error, effects);
    } finally {
      this.#over();
    }
  }

  async #run(batch: string): Promise<string> {
    this.#results = "";
    this.#count = 0;
    const events: GuestEvent[] = [];
    for (let at = 0; at < batch.length;) {
      const event = new GuestEvent(batch, at, this.#options);
      events.push(event);
      at = event.end;
    }
    // Some keys were another isolate's meanwhile.
    if (((events[0]?.flags ?? 0) & 16) !== 0) this.#state.forget();
    if (this.#state.used) {
      this.#state.shrink();
      const keys = events.map((event) => event.key);
      for (const event of events) this.#state.refresh(event.key, event.time);
      if (this.#state.usedShared) {
        for (const event of events) this.#state.refresh(SHARED_KEY, event.time);
        keys.push(SHARED_KEY);
      }
      const loading = this.#state.load(keys);
      if (loading !== undefined) await loading;
    }
    if (this.#batch !== undefined) {
      await handleAll(events, this.#batch);
      return this.#cut ? "" : this.#results;
    }
    for (const event of events) {
      const handled = this.#migrations === undefined ? this.#handle(event) : this.#handleMigrated(event, this.#migrations);
      const result = typeof handled === "string" ? handled : await handled;
      if (this.#cut) return "";
      this.#add(result);
    }
    return this.#results;
  }

  #add(result: string): void {
    this.#results += result;
    this.#count++;
  }

  /** Whether the message may be handled now; otherwise it waits for the retry of an earlier one of its key. */
  #admits(event: GuestEvent): boolean {
    if ((event.flags & 1) !== 0) this.#failedKeys.delete(event.key);
    return !this.#failedKeys.has(event.key);
  }

  async #handleMigrated(event: GuestEvent, migrations: Migrations): Promise<string> {
    if (!this.#admits(event)) return DEFERRED;
    const effects = new Effects(this.#options.outputBytes);
    this.#current = { effects, startedAt: Date.now(), events: 1 };
    try {
      await migrations.bring(event, effects);
    } catch (error) {
      return this.#fail(error, event, effects);
    }
    return this.#handle(event, effects);
  }

  #handle(event: GuestEvent, effects = new Effects(this.#options.outputBytes)): string | Promise<string> {
    if (!this.#admits(event)) return DEFERRED;
    const startedAt = Date.now();
    this.#current = { effects, startedAt, events: 1, event };
    try {
      const parts = { options: this.#options, state: this.#state, startedAt };
      const returned = this.#definition.handler?.(event, new Context(event, effects, parts));
      const isLater = isThenable(returned) || event.answers || effects.state.size + effects.shared.size > 0;
      if (isLater) return this.#settle(returned, event, effects);
      this.#over();
      return effects.encode();
    } catch (error) {
      return this.#fail(error, event, effects);
    }
  }

  async #settle(returned: unknown, event: GuestEvent, effects: Effects): Promise<string> {
    try {
      const value = await returned;
      // Before anything is remembered: an answer that cannot be sent fails the message.
      const answer = event.answers ? effects.answered(encodeAnswer(value)) : undefined;
      const written = [
        { key: event.key, writes: effects.state, now: event.time },
        { key: SHARED_KEY, writes: effects.shared, now: event.time },
      ];
      const wanted = written.filter(({ writes }) => writes.size > 0);
      if (wanted.length > 0) await this.#state.store(this.#options.name, wanted);
      this.#over();
      return answer === undefined ? effects.encode() : effects.encodeAnswered(answer);
    } catch (error) {
      return this.#fail(error, event, effects);
    }
  }

  /** The message has its result; what it has left behind may not act for the next one. */
  #over(): void {
    this.#current = undefined;
    if (timers.size > 0) timers.clear();
    if (calls.used) calls.over();
  }

  #fail(error: unknown, event: GuestEvent, effects: Effects): string {
    this.#over();
    const failure = encodeFailure(error, effects);
    const givenUp = failure.startsWith("\x02") ? (event.flags & 4) === 0 : (event.flags & 2) !== 0;
    if (this.#options.strict && !givenUp) this.#failedKeys.add(event.key);
    return failure;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}

function definitionOf(exported: unknown, { batch, stateVersion }: GuestOptions): Definition {
  const found = typeof exported === "object" && exported !== null && "default" in exported ? exported.default : undefined;
  if (batch && memberOf(found, "batch") === undefined) {
    throw new TypeError("the entry has no default export made by defineFunction({ batch }), which function.yaml asks for");
  }
  if (!batch && memberOf(found, "handler") === undefined) {
    const other = memberOf(found, "batch") === undefined ? "" : '; for a batch, function.yaml needs "batch"';
    throw new TypeError(`the entry has no default export made by defineFunction({ handler })${other}`);
  }
  for (const name of ["init", "migrate"])
    if (memberOf(found, name) === undefined && Reflect.get(found as object, name) !== undefined)
      throw new TypeError(`"${name}" is not a function`);
  if (stateVersion > 1 && memberOf(found, "migrate") === undefined)
    throw new TypeError(
      `the default export has no migrate(entries, from, ctx), which state.version ${stateVersion} of function.yaml needs`,
    );
  return found as Definition;
}

function memberOf(found: unknown, name: string): unknown {
  const member: unknown = typeof found === "object" && found !== null ? Reflect.get(found, name) : undefined;
  return typeof member === "function" ? member : undefined;
}

/** What a function finds beside the language itself, before its code runs. `seed` is for randomness, 64 hexadecimal digits. */
export function installGlobals(seed: string): void {
  installConsole(() => undefined);
  installTimers();
  installFetch();
  installRandom(seed);
}

function installConsole(log: (level: number, values: readonly unknown[]) => void): void {
  const console: Record<string, (...values: unknown[]) => void> = { log: (...values) => log(1, values) };
  LEVELS.forEach((level, index) => (console[level] = (...values) => log(index, values)));
  Object.defineProperty(globalThis, "console", { value: console, writable: true, configurable: true });
}
