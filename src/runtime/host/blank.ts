import { randomBytes } from "node:crypto";
import ivm from "isolated-vm";
import { guestScript } from "./guest-script.ts";
import { type MachineCode, machineCodeOf, wasRejected } from "./machine-code.ts";
import { Port } from "./port.ts";

/** The guest code gets this long by the clock on the wall, far more than it takes on a slow machine that does other work. */
const TIMEOUT_MS = 20_000;
/** An isolate that holds the guest code and belongs to no function yet. Code of a user has never run in it. */
export interface Blank {
  readonly isolate: ivm.Isolate;
  readonly context: ivm.Context;
  /** What it asks for. */
  readonly port: Port;
  /** Takes the options as JSON and answers with what `gateTo` makes of the guest; to be called when the user's code has run. */
  readonly create: ivm.Reference;
  /** Collects garbage, and ends the isolate when too much is left; takes more bytes than it may have. */
  readonly collect: ivm.Reference;
}

/** Makes blank isolates. The guest code is compiled for the first of them only, and what the first message needs of it for the first that handles one. */
export class BlankMaker {
  readonly #source: string;
  readonly #stuck: (reason: string) => void;
  readonly #inspector: boolean;
  #machineCode: MachineCode | undefined;
  /** The machine code has what a first message needs, too. */
  #isComplete = false;

  constructor(stuck: (reason: string) => void, { inspector }: { readonly inspector: boolean } = { inspector: false }) {
    this.#inspector = inspector;
    this.#source = `((seed, ask) => {
${guestScript()}
const collect = closeRealm();
installGlobals(seed);
const host = hostThrough(ask);
const create = (options) => {
const exported = typeof __millrace === "undefined" ? undefined : __millrace;
return gateTo(createGuest(exported, JSON.parse(options), host));
};
return { create, warmUp, collect };
})`;
    this.#stuck = stuck;
  }

  /** For a function that waits for it: the host's thread does nothing else meanwhile. */
  now(memoryMb: number): Blank {
    const isolate = this.#isolate(memoryMb);
    const context = isolate.createContextSync({ inspector: this.#inspector });
    const script = isolate.compileScriptSync(this.#source, this.#compileOptions());
    this.#learn(script);
    const open = script.runSync(context, { reference: true, timeout: TIMEOUT_MS });
    const port = new Port();
    const parts: ivm.Reference = open.applySync(undefined, opening(port), { result: { reference: true }, timeout: TIMEOUT_MS });
    const create = parts.getSync("create", { reference: true });
    const collect = parts.getSync("collect", { reference: true });
    for (const done of [script, open, parts]) done.release();
    return { isolate, context, port, create, collect };
  }

  /**
   * For later: off the host's thread except for the isolate itself, which the library makes only there. A message is handled in it, so that
   * V8 has compiled what a first message needs.
   */
  async ahead(memoryMb: number): Promise<Blank> {
    const isolate = this.#isolate(memoryMb);
    const context = await isolate.createContext();
    const script = await isolate.compileScript(this.#source, this.#compileOptions());
    this.#learn(script);
    const open = await script.run(context, { reference: true, timeout: TIMEOUT_MS });
    const port = new Port();
    const parts: ivm.Reference = await open.apply(undefined, opening(port), { result: { reference: true }, timeout: TIMEOUT_MS });
    const create = parts.getSync("create", { reference: true });
    const collect = parts.getSync("collect", { reference: true });
    const warmUp = parts.getSync("warmUp", { reference: true });
    const warm: unknown = await warmUp.apply(undefined, [], { result: { promise: true }, timeout: TIMEOUT_MS });
    if (warm !== true) throw new Error("a blank isolate does not handle messages");
    if (!this.#isComplete) await this.#complete(isolate);
    for (const done of [script, open, parts, warmUp]) done.release();
    return { isolate, context, port, create, collect };
  }

  /** In an isolate that has handled a message, V8 finds the same text compiled, with everything that the message has made it compile. */
  async #complete(isolate: ivm.Isolate): Promise<void> {
    const { cachedData: _before, ...options } = this.#compileOptions();
    const script = await isolate.compileScript(this.#source, { ...options, produceCachedData: true });
    this.#machineCode = machineCodeOf(script);
    this.#isComplete = this.#machineCode !== undefined;
    script.release();
  }

  #isolate(memoryMb: number): ivm.Isolate {
    return new ivm.Isolate({ memoryLimit: memoryMb, onCatastrophicError: this.#stuck, inspector: this.#inspector });
  }

  #compileOptions(): { filename: string; cachedData?: MachineCode; produceCachedData?: boolean } {
    const filename = "<isolated-vm>"; // Frames of this file are not shown to authors, see guest-effects.ts.
    return this.#machineCode === undefined ? { filename, produceCachedData: true } : { filename, cachedData: this.#machineCode };
  }

  #learn(script: ivm.Script): void {
    if (this.#machineCode !== undefined && !wasRejected(script)) return;
    this.#machineCode = machineCodeOf(script);
    this.#isComplete = false;
  }
}

/** What the guest code is opened with: where its randomness begins, each isolate has its own, and what takes what it asks for. */
function opening(port: Port): [seed: string, ask: ivm.Callback] {
  return [randomBytes(32).toString("hex"), new ivm.Callback((...what: unknown[]) => port.take(what), { ignored: true })];
}
