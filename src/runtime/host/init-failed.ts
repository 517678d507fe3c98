import type { Fault } from "./frames.ts";

/** More does not help anybody, and is kept, sent and shown at each try. */
const CHARS_MAX = 4_000;

/** `init` of a function failed. The message is for the author, with the stack; `said` is the result, which holds what it has logged. */
export class InitFailed extends Error {
  readonly said: string;

  constructor(message: string, said = "") {
    super(message);
    this.said = said;
  }

  static cut({ code, message }: Fault): InitFailed {
    return new InitFailed(`${code}: init ${message}`);
  }

  /** Undefined when the result of `init` is not that of a failure. */
  static of(result: string): InitFailed | undefined {
    if (result === "" || result.startsWith("\0")) return undefined;
    try {
      const bytes = Buffer.from(result, "latin1");
      const { code, message, stack } = JSON.parse(bytes.toString("utf8", 5, 5 + bytes.readUInt32BE(1))) as Record<string, unknown>;
      const text = String(stack === "" ? message : stack).slice(0, CHARS_MAX);
      return new InitFailed(`init failed: ${code === "FUNCTION_THREW" ? "" : `${String(code)}: `}${text}`, result);
    } catch {
      // Its code may have put anything in the place of the guest runtime's functions.
      return new InitFailed("init gave an answer that cannot be read");
    }
  }
}
