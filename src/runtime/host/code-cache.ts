import type ivm from "isolated-vm";
import { type MachineCode, machineCodeOf, wasRejected } from "./machine-code.ts";

/** Of source text and machine code. */
const BYTES_MAX = 8 * 1024 * 1024;
/** Shorter code compiles about as fast as its machine code is read, and faster than a change of thread: it is compiled where it is run. */
const WORTHWHILE_CHARS = 4_096;

interface Entry {
  readonly bytes: number;
  readonly machineCode: MachineCode | undefined;
}

/**
 * Machine code of functions that are started again and again in this process. It never leaves the process and never comes from outside, so
 * the text alone is the key. Making it costs half as much again as compiling, so it is made when a text comes for the second time.
 */
export class CodeCache {
  /** In the order of their last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax = BYTES_MAX) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The script, and whether machine code from before was used. Undefined for code of which none is kept.
   * @throws SyntaxError of the code
   */
  async compile(isolate: ivm.Isolate, code: string, filename: string): Promise<{ script: ivm.Script; cached: boolean } | undefined> {
    if (code.length < WORTHWHILE_CHARS) return undefined;
    const known = this.#entries.get(code);
    if (known?.machineCode === undefined) {
      const script = await isolate.compileScript(code, { filename, produceCachedData: known !== undefined });
      this.#keep(code, machineCodeOf(script));
      return { script, cached: false };
    }
    this.#entries.delete(code);
    this.#entries.set(code, known);
    const script = await isolate.compileScript(code, { filename, cachedData: known.machineCode });
    const cached = !wasRejected(script);
    if (!cached) this.#drop(code);
    return { script, cached };
  }

  #keep(code: string, machineCode: MachineCode | undefined): void {
    this.#drop(code);
    const bytes = code.length + (machineCode?.copy().byteLength ?? 0);
    this.#entries.set(code, { bytes, machineCode });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.#drop(oldest);
    }
  }

  #drop(code: string): void {
    const entry = this.#entries.get(code);
    if (entry === undefined) return;
    this.#entries.delete(code);
    this.#bytes -= entry.bytes;
    entry.machineCode?.release();
  }
}
