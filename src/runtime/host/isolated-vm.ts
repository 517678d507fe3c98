import ivm from "isolated-vm";
import type { Engine, Instance, InstanceWays, RunOutcome } from "./engine.ts";
import type { LoadSpec } from "./frames.ts";
import { Pace } from "./pace.ts";
import { guestScript } from "./guest-script.ts";
import type { GuestOptions } from "./guest-types.ts";

/** Top-level code of a function gets this long, once. */
const LOAD_TIMEOUT_MS = 2_000;
/** An isolate that does not even answer this fast is stuck in native code, and only the end of the process frees it. */
const SALVAGE_TIMEOUT_MS = 200;
const ABSENT = ["WebAssembly", "SharedArrayBuffer", "Atomics"];

/** Isolates of V8. `stuck` is called when one cannot be stopped from inside the process. */
export function isolatedVmEngine(stuck: (reason: string) => void): Engine {
  const prologue = ABSENT.map((name) => `delete globalThis.${name};`).join("");
  const guest = `${prologue}${guestScript()}
    installConsole(() => undefined);
    return (options, loadState) => {
      const exported = typeof __millrace === "undefined" ? undefined : __millrace;
      return createGuest(exported, JSON.parse(options), { loadState });
    };`;
  return { create: (spec, ways) => IsolatedVmInstance.create(spec, ways, { guest, stuck }) };
}

/** The functions that `createGuest` made, by name. */
type GuestFunctions = Readonly<Record<(typeof GUEST_FUNCTIONS)[number], ivm.Reference>>;
const GUEST_FUNCTIONS = ["start", "take", "finish", "stateLoaded", "salvage"] as const;

class IsolatedVmInstance implements Instance {
  readonly #isolate: ivm.Isolate;
  readonly #guest: GuestFunctions;
  readonly #stuck: (reason: string) => void;
  readonly #pace = new Pace();
  /** Rejects when the handler was stopped while it went on after a wait. */
  readonly #broken = Promise.withResolvers<never>();
  #timeoutMs = 0;

  private constructor(isolate: ivm.Isolate, guest: GuestFunctions, stuck: (reason: string) => void) {
    this.#isolate = isolate;
    this.#guest = guest;
    this.#stuck = stuck;
    this.#broken.promise.catch(() => undefined); // Seen by the batch that is under way, if there is one.
  }

  static async create(
    spec: LoadSpec,
    ways: InstanceWays,
    parts: { guest: string; stuck: (reason: string) => void },
  ): Promise<IsolatedVmInstance> {
    const isolate = new ivm.Isolate({ memoryLimit: Math.max(8, Math.ceil(spec.memoryBytes / 2 ** 20)), onCatastrophicError: parts.stuck });
    try {
      const context = await isolate.createContext();
      const start = await context.evalClosure(parts.guest, [], { result: { reference: true }, timeout: LOAD_TIMEOUT_MS });
      const script = await isolate.compileScript(spec.code, { filename: `${spec.name}.js` });
      await script.run(context, { timeout: LOAD_TIMEOUT_MS });
      script.release();
      const { code: _code, memoryBytes: _memory, ...rest } = spec;
      const options: GuestOptions = rest;
      const loadState = new ivm.Callback((request: unknown, keys: unknown) => ways.loadState(Number(request), String(keys)), {
        ignored: true,
      });
      const made: ivm.Reference = await start.apply(undefined, [JSON.stringify(options), loadState], {
        result: { reference: true },
        timeout: LOAD_TIMEOUT_MS,
      });
      const found = GUEST_FUNCTIONS.map(async (name) => [name, await made.get(name, { reference: true })] as const);
      const guest = Object.fromEntries(await Promise.all(found)) as GuestFunctions;
      return new IsolatedVmInstance(isolate, guest, parts.stuck);
    } catch (error) {
      if (!isolate.isDisposed) isolate.dispose();
      throw error;
    }
  }

  async run(batch: string, limits: { timeoutMs: number; wallMs: number }): Promise<RunOutcome> {
    const startedAt = performance.now();
    try {
      const timeout = limits.timeoutMs;
      this.#timeoutMs = timeout;
      if (this.#pace.quick) this.#guest.start.applySync(undefined, [batch], { timeout });
      else await this.#guest.start.apply(undefined, [batch], { timeout });
      this.#pace.took(performance.now() - startedAt);
      const results = this.#guest.take.applySync(undefined, [], { timeout: SALVAGE_TIMEOUT_MS });
      return typeof results === "string" ? { done: true, results } : await this.#finish(limits);
    } catch (error) {
      this.#pace.took(performance.now() - startedAt);
      const message = error instanceof Error ? error.message : String(error);
      if (this.#isolate.isDisposed) return this.#cut("LIMIT_MEMORY", `the isolate ran out of memory: ${message}`);
      const timedOut = /execution timed out/i.test(message);
      if (timedOut) return this.#cut("LIMIT_CPU", `computed for more than ${limits.timeoutMs} ms without a pause`);
      return this.#cut("FUNCTION_THREW", message);
    }
  }

  /** The batch waits for something; so does this, within the wall limit. */
  async #finish(limits: { timeoutMs: number; wallMs: number }): Promise<RunOutcome> {
    const wall = Promise.withResolvers<"wall">();
    const timer = setTimeout(() => wall.resolve("wall"), limits.wallMs);
    try {
      const running: Promise<unknown> = this.#guest.finish.apply(undefined, [], { timeout: limits.timeoutMs, result: { promise: true } });
      running.catch(() => undefined); // When something else comes first, it ends with the isolate.
      const first = await Promise.race([running, wall.promise, this.#broken.promise]);
      if (first !== "wall") return { done: true, results: textOf(first) };
      return await this.#cut("LIMIT_WALL", `not finished after ${limits.wallMs} ms`);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes what was finished out of an isolate that was stopped, then drops it. */
  async #cut(code: string, message: string): Promise<RunOutcome> {
    let text = "\0\0\0\0\0\0";
    if (!this.#isolate.isDisposed) {
      const late = setTimeout(() => this.#stuck(`${code}: ${message}; the isolate does not stop`), SALVAGE_TIMEOUT_MS);
      try {
        text = textOf(await this.#guest.salvage.apply(undefined, [], { timeout: SALVAGE_TIMEOUT_MS }));
      } catch {
        // Nothing could be saved: everything in the batch is handled again.
      } finally {
        clearTimeout(late);
      }
    }
    this.dispose();
    const head = Buffer.from(text.slice(0, 6), "latin1");
    return {
      done: false,
      fault: { code, message },
      finished: head.readUInt16BE(0),
      elapsedMs: head.readUInt32BE(2),
      results: text.slice(6),
    };
  }

  stateLoaded(request: number, entries: string): void {
    if (this.#isolate.isDisposed) return;
    // The handler goes on inside this call, so its limit applies here too.
    const going = this.#guest.stateLoaded.apply(undefined, [request, entries], { timeout: this.#timeoutMs });
    going.catch((error: unknown) => this.#broken.reject(error));
  }

  dispose(): void {
    if (!this.#isolate.isDisposed) this.#isolate.dispose();
  }
}

/** Guest code may have put anything in the place of the guest runtime's functions; the gateway finds an empty answer wanting. */
function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
