import { randomBytes } from "node:crypto";
import { createContext, Script } from "node:vm";
import { Alarm } from "../../src/runtime/host/alarm.ts";
import type { Engine, Instance, InstanceWays, RunOutcome } from "../../src/runtime/host/engine.ts";
import { InitFailed } from "../../src/runtime/host/init-failed.ts";
import type { LoadSpec } from "../../src/runtime/host/frames.ts";
import { guestScript } from "../../src/runtime/host/guest-script.ts";
import type { GuestHost, GuestOptions, GuestRuntime } from "../../src/runtime/host/guest-types.ts";

/** Declares `begin`, which makes the guest once the function's code has run. */
const GUEST = new Script(
  `var begin = (() => { ${guestScript()}
    installGlobals(globalThis.__seed);
    return (options, host) => createGuest(typeof __millrace === "undefined" ? undefined : __millrace, JSON.parse(options), host);
  })();`,
);

type Begin = (options: string, host: GuestHost) => GuestRuntime;

/**
 * The same guest code in contexts of this process, for tests of the protocol where isolates are not the point. It confines nothing and nobody: it cannot
 * stop code that computes, bound its memory, or keep it from this process. A wait it ends at the wall limit.
 */
export function plainEngine(): Engine {
  return { create: (spec, ways) => PlainInstance.create(spec, ways) };
}

class PlainInstance implements Instance {
  said = "";
  readonly started = { isolateMs: 0, compileMs: 0, initMs: 0, pooled: false, cached: false };
  readonly #guest: GuestRuntime;
  readonly #alarm: Alarm;
  #disposed = false;

  private constructor(guest: GuestRuntime, alarm: Alarm) {
    this.#guest = guest;
    this.#alarm = alarm;
  }

  static async create(spec: LoadSpec, ways: InstanceWays): Promise<PlainInstance> {
    const globals: { begin?: Begin; __seed?: string } = { __seed: randomBytes(32).toString("hex") };
    const context = createContext(globals);
    GUEST.runInContext(context);
    new Script(spec.code, { filename: `${spec.name}.js` }).runInContext(context);
    const { code: _code, memoryBytes: _memory, ...rest } = spec;
    const options: GuestOptions = rest;
    if (globals.begin === undefined) throw new TypeError("the function's code has taken the guest away");
    // As over a pipe, the answer never comes before the request has returned.
    const alarm = new Alarm();
    const guest = globals.begin(JSON.stringify(options), {
      loadState: (request, keys) => void setImmediate(() => ways.loadState(request, keys)),
      wakeIn: (ms) => alarm.set(ms),
      call: (request, what, head, body) => ways.call(request, what, head, body),
      callOff: (request) => ways.callOff(request),
    });
    alarm.ring = (elapsedMs) => guest.wake(elapsedMs);
    const instance = new PlainInstance(guest, alarm);
    ways.made?.(instance);
    if (guest.init !== undefined) await instance.#init(guest.init, spec.initMs);
    return instance;
  }

  async #init(init: () => void, wallMs: number): Promise<void> {
    const outcome = await this.#run(init, wallMs);
    if (!outcome.done) throw InitFailed.cut(outcome.fault);
    const failed = InitFailed.of(outcome.results);
    if (failed !== undefined) throw failed;
    this.said = outcome.results;
  }

  run(batch: string, { wallMs }: { timeoutMs: number; wallMs: number }): Promise<RunOutcome> {
    return this.#run(() => this.#guest.start(batch), wallMs);
  }

  async #run(begin: () => void, wallMs: number): Promise<RunOutcome> {
    const startedAt = performance.now();
    const wall = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => wall.resolve(undefined), wallMs);
    try {
      begin();
      const results = await Promise.race([this.#guest.finish(), wall.promise]);
      if (results === undefined) return this.#cut("LIMIT_WALL", `not finished after ${wallMs} ms`);
      return { done: true, results, computedMs: performance.now() - startedAt };
    } catch (error) {
      return this.#cut("FUNCTION_THREW", error instanceof Error ? error.message : String(error));
    } finally {
      clearTimeout(timer);
    }
  }

  #cut(code: string, message: string): RunOutcome {
    const text = this.#guest.salvage();
    this.dispose();
    const head = Buffer.from(text.slice(0, 6), "latin1");
    const { finished, elapsedMs } = { finished: head.readUInt16BE(0), elapsedMs: head.readUInt32BE(2) };
    return { done: false, fault: { code, message }, finished, elapsedMs, results: text.slice(6) };
  }

  stateLoaded(request: number, entries: string): void {
    if (!this.#disposed) this.#guest.stateLoaded(request, entries);
  }

  answered(request: number, head: string, body: string): void {
    if (!this.#disposed) this.#guest.answered(request, head, body);
  }

  dispose(): void {
    this.#disposed = true;
    this.#alarm.stop();
  }
}
