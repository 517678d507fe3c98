import { randomBytes } from "node:crypto";
import ivm from "isolated-vm";
import { guestScript } from "./guest-script.ts";
import { type MachineCode, machineCodeOf, wasRejected } from "./machine-code.ts";

/** The guest code gets this long by the clock on the wall, far more than it takes on a slow machine that does other work. */
const TIMEOUT_MS = 20_000;
/** An isolate that holds the guest code and belongs to no function yet. Code of a user has never run in it. */
export interface Blank {
  readonly isolate: ivm.Isolate;
  readonly context: ivm.Context;
  /** Takes the options as JSON and the functions of `GuestHost` in their order; to be called when the user's code has run. */
  readonly create: ivm.Reference;
  /** Collects garbage, and ends the isolate when too much is left; takes more bytes than it may have. */
  readonly collect: ivm.Reference;
}

/** Makes blank isolates. The guest code is compiled for the first of them only. */
export class BlankMaker {
  readonly #source: string;
  readonly #stuck: (reason: string) => void;
  readonly #inspector: boolean;
  #machineCode: MachineCode | undefined;

  constructor(stuck: (reason: string) => void, { inspector }: { readonly inspector: boolean } = { inspector: false }) {
    this.#inspector = inspector;
    this.#source = `(() => {
${guestScript()}
const collect = closeRealm();
installGlobals(globalThis.__seed);
delete globalThis.__seed;
const create = (options, loadState, wakeIn, call, callOff) => {
  const exported = typeof __millrace === "undefined" ? undefined : __millrace;
  return createGuest(exported, JSON.parse(options), { loadState, wakeIn, call, callOff });
};
return { create, warmUp, collect };
})()`;
    this.#stuck = stuck;
  }

  /** For a function that waits for it: the host's thread does nothing else meanwhile. */
  now(memoryMb: number): Blank {
    const isolate = this.#isolate(memoryMb);
    const context = isolate.createContextSync({ inspector: this.#inspector });
    context.global.setSync("__seed", seed());
    const script = isolate.compileScriptSync(this.#source, this.#compileOptions());
    this.#learn(script);
    const parts = script.runSync(context, { reference: true, timeout: TIMEOUT_MS });
    const create = parts.getSync("create", { reference: true });
    const collect = parts.getSync("collect", { reference: true });
    for (const done of [script, parts]) done.release();
    return { isolate, context, create, collect };
  }

  /**
   * For later: off the host's thread except for the isolate itself, which the library makes only there. A message is handled in it, so that
   * V8 has compiled what a first message needs.
   */
  async ahead(memoryMb: number): Promise<Blank> {
    const isolate = this.#isolate(memoryMb);
    const context = await isolate.createContext();
    await context.global.set("__seed", seed());
    const script = await isolate.compileScript(this.#source, this.#compileOptions());
    this.#learn(script);
    const parts = await script.run(context, { reference: true, timeout: TIMEOUT_MS });
    const create = parts.getSync("create", { reference: true });
    const collect = parts.getSync("collect", { reference: true });
    const warmUp = parts.getSync("warmUp", { reference: true });
    const warm: unknown = await warmUp.apply(undefined, [], { result: { promise: true }, timeout: TIMEOUT_MS });
    if (warm !== true) throw new Error("a blank isolate does not handle messages");
    for (const done of [script, parts, warmUp]) done.release();
    return { isolate, context, create, collect };
  }

  #isolate(memoryMb: number): ivm.Isolate {
    return new ivm.Isolate({ memoryLimit: memoryMb, onCatastrophicError: this.#stuck, inspector: this.#inspector });
  }

  #compileOptions(): { filename: string; cachedData?: MachineCode; produceCachedData?: boolean } {
    const filename = "<isolated-vm>"; // Frames of this file are not shown to authors, see guest-effects.ts.
    return this.#machineCode === undefined ? { filename, produceCachedData: true } : { filename, cachedData: this.#machineCode };
  }

  #learn(script: ivm.Script): void {
    if (this.#machineCode === undefined || wasRejected(script)) this.#machineCode = machineCodeOf(script);
  }
}

/** Each isolate has its own. */
function seed(): string {
  return randomBytes(32).toString("hex");
}
