import { backoffMs } from "../core/clock.ts";
import { MillraceError, messageOf } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import { HostProcess } from "./host-process.ts";
import { type Fault, FRAME, type LoadSpec, type StartTimes, u32 } from "./host/frames.ts";
import { Turns } from "./turns.ts";

const WATCH_INTERVAL_MS = 100;
/** What a host may need beyond the limits of a batch to stop it and to say so. */
const GRACE_MS = 1_000;
/** Making an isolate has time limits of its own; a host that does not answer by then is stuck in native code. */
const LOAD_MS_MAX = 10_000;
/** Keys that one request for state may name. */
const STATE_KEYS_MAX = 10_000;
const RESTART_BACKOFF = { minMs: 10, maxMs: 5_000 };
/** A host that lived this long did not die of its start. */
const STABLE_MS = 10_000;

export interface InstanceEvents {
  result(batch: number, results: Buffer): void;
  /** The batch was stopped and the instance is gone; the first `finished` items have results. */
  cut(batch: number, cut: { fault: Fault; finished: number; elapsedMs: number; results: Buffer }): void;
  stateGet(request: number, keys: readonly string[]): void;
  /** The host died with the instance in it. */
  lost(reason: string): void;
}

/** An isolate in some host, as the gateway process sees it. */
export interface InstanceHandle {
  readonly started: StartTimes;
  run(batch: number, limits: { timeoutMs: number; wallMs: number }, items: readonly Uint8Array[]): void;
  stateLoaded(request: number, entries: string): void;
  unload(): void;
}

interface Loaded {
  readonly id: number;
  readonly slot: Slot;
  readonly events: InstanceEvents;
  readonly loading: PromiseWithResolvers<StartTimes>;
  /** When the load, then the batches under way have to be answered, in their order. */
  readonly deadlines: number[];
}

interface Slot {
  process: Promise<HostProcess>;
  readonly instances: Map<number, Loaded>;
  startedAt: number;
  deaths: number;
}

/** The host processes of a gateway. A host that dies or does not answer in time is replaced; its instances are told that they are lost. */
export class HostPool {
  readonly #slots: Slot[] = [];
  readonly #logger: Logger;
  readonly #watch: NodeJS.Timeout;
  /**
   * To try, one at a time, messages that may take their host process down, so that it is known whose message it was when a host dies. Messages
   * that are not under suspicion go on beside it.
   */
  readonly turns = new Turns();
  readonly close: () => Promise<void>;
  #nextId = 1;
  #closing = false;
  restarts = 0;

  constructor(count: number, logger: Logger) {
    this.#logger = logger;
    for (let i = 0; i < count; i++) {
      const slot: Slot = { process: Promise.reject(new Error("not started")), instances: new Map(), startedAt: 0, deaths: 0 };
      slot.process.catch(() => undefined); // Replaced in the next line.
      this.#slots.push(slot);
      this.#start(slot, 0);
    }
    this.#watch = setInterval(() => this.#killOverdue(), WATCH_INTERVAL_MS).unref();
    this.close = once(async () => {
      this.#closing = true;
      clearInterval(this.#watch);
      await Promise.allSettled(this.#slots.map(async (slot) => (await slot.process).close()));
    });
  }

  get size(): number {
    return this.#slots.length;
  }

  /** Resolves when every host answers. @throws MillraceError HOST_CRASHED */
  async ready(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.process));
  }

  /** @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED */
  async load(spec: LoadSpec, events: InstanceEvents): Promise<InstanceHandle> {
    const slot = this.#slots.reduce((least, other) => (other.instances.size < least.instances.size ? other : least));
    const instance: Loaded = { id: this.#nextId++, slot, events, loading: Promise.withResolvers(), deadlines: [] };
    slot.instances.set(instance.id, instance);
    try {
      const host = await slot.process;
      instance.deadlines.push(performance.now() + LOAD_MS_MAX);
      host.send(FRAME.LOAD, instance.id, Buffer.from(JSON.stringify(spec)));
      return this.#handle(instance, host, await instance.loading.promise);
    } catch (error) {
      slot.instances.delete(instance.id);
      throw error;
    }
  }

  #handle(instance: Loaded, host: HostProcess, started: StartTimes): InstanceHandle {
    return {
      started,
      run: (batch, limits, items) => {
        const from = Math.max(performance.now(), instance.deadlines.at(-1) ?? 0);
        instance.deadlines.push(from + limits.wallMs + limits.timeoutMs + GRACE_MS);
        host.send(FRAME.RUN, instance.id, u32(batch, limits.timeoutMs, limits.wallMs), ...items);
      },
      stateLoaded: (request, entries) => host.send(FRAME.STATE, instance.id, u32(request), Buffer.from(entries)),
      unload: () => {
        if (instance.slot.instances.delete(instance.id)) host.send(FRAME.UNLOAD, instance.id);
      },
    };
  }

  #start(slot: Slot, delayMs: number): void {
    slot.process = (async () => {
      if (delayMs > 0) await new Promise<void>((resolve) => setTimeout(resolve, delayMs).unref());
      slot.startedAt = performance.now();
      return HostProcess.start({
        frame: (kind, id, body) => this.#receive(slot.instances.get(id), kind, body),
        died: (reason) => this.#died(slot, reason),
      });
    })();
    slot.process.catch(() => undefined); // Whoever loads an instance sees it; `died` starts the next one.
  }

  #receive(instance: Loaded | undefined, kind: number, body: Buffer): void {
    if (instance === undefined) return;
    if (kind === FRAME.RESULT) {
      instance.deadlines.shift();
      instance.events.result(body.readUInt32BE(0), body.subarray(4));
    } else if (kind === FRAME.STATE_GET) {
      instance.events.stateGet(body.readUInt32BE(0), parseKeys(body.toString("utf8", 4)));
    } else if (kind === FRAME.LOADED) {
      instance.deadlines.length = 0;
      instance.loading.resolve(parseStartTimes(body.toString()));
    } else if (kind === FRAME.FAILED) {
      instance.loading.reject(new MillraceError("FUNCTION_LOAD_FAILED", parseFault(body.toString()).message));
    } else if (kind === FRAME.CUT) {
      instance.slot.instances.delete(instance.id);
      const end = 8 + body.readUInt32BE(4);
      const fault = parseFault(body.toString("utf8", 8, end));
      const cut = { fault, finished: body.readUInt16BE(end), elapsedMs: body.readUInt32BE(end + 2), results: body.subarray(end + 6) };
      instance.events.cut(body.readUInt32BE(0), cut);
    }
  }

  #died(slot: Slot, reason: string): void {
    if (this.#closing) return;
    const lost = [...slot.instances.values()];
    slot.instances.clear();
    slot.deaths = performance.now() - slot.startedAt > STABLE_MS ? 0 : slot.deaths + 1;
    this.restarts++;
    this.#logger.error({ reason, instances: lost.length }, "a host process died and is replaced");
    this.#start(slot, slot.deaths <= 1 ? 0 : backoffMs(slot.deaths - 1, RESTART_BACKOFF));
    for (const instance of lost) {
      instance.loading.promise.catch(() => undefined); // Rejected only for the sake of a load that is waiting.
      instance.loading.reject(new MillraceError("HOST_CRASHED", `the host died: ${reason}`));
      instance.events.lost(reason);
    }
  }

  #killOverdue(): void {
    const now = performance.now();
    for (const slot of this.#slots) {
      const overdue = [...slot.instances.values()].some((instance) => (instance.deadlines[0] ?? Infinity) < now);
      if (!overdue) continue;
      for (const instance of slot.instances.values()) instance.deadlines.length = 0;
      slot.process.then(
        (host) => host.kill("a batch was not answered in time"),
        (error: unknown) => this.#logger.error({ error: messageOf(error) }, "a host that did not start cannot be stopped"),
      );
    }
  }
}

/** @throws RangeError, SyntaxError when it is not a fault */
function parseFault(text: string): Fault {
  const fault: unknown = JSON.parse(text);
  const field = (name: string): unknown => (typeof fault === "object" && fault !== null ? Reflect.get(fault, name) : undefined);
  const [code, message] = [field("code"), field("message")];
  if (typeof code !== "string" || typeof message !== "string") throw new RangeError("a fault has no code or no message");
  return { code, message };
}

/** @throws RangeError, SyntaxError when it does not say how an instance was started */
function parseStartTimes(text: string): StartTimes {
  const times: unknown = JSON.parse(text);
  const field = (name: string): unknown => (typeof times === "object" && times !== null ? Reflect.get(times, name) : undefined);
  const ms = (name: string): number => {
    const value = field(name);
    if (typeof value !== "number" || !(value >= 0)) throw new RangeError(`${name} of a start is not a time`);
    return value;
  };
  return {
    isolateMs: ms("isolateMs"),
    compileMs: ms("compileMs"),
    initMs: ms("initMs"),
    pooled: field("pooled") === true,
    cached: field("cached") === true,
  };
}

/** @throws RangeError, SyntaxError when it is not a list of keys */
function parseKeys(text: string): string[] {
  const keys: unknown = JSON.parse(text);
  if (!Array.isArray(keys) || keys.length > STATE_KEYS_MAX) throw new RangeError("a request for state is not a list of keys");
  return keys.map((key: unknown) => {
    if (typeof key !== "string" || key.includes("\0")) throw new RangeError("a key is not a text without NUL");
    return key;
  });
}
