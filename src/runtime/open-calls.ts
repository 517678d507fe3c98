import { messageOf, MillraceError } from "../core/errors.ts";

/** Of one instance at once; the guest keeps within less. */
const CALLS_MAX = 1_000;
const BYTES_MAX = 40 * 1024 * 1024;

/** What an isolate asks the gateway for. Its code may have had a hand in everything that is in it. */
export interface Call {
  /** See host/guest-call-kinds.ts. */
  readonly what: number;
  readonly head: unknown;
  readonly body: Buffer;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface CallAnswer {
  /** Becomes JSON. */
  readonly head: object;
  readonly body?: Uint8Array;
}

/** Rejects with a MillraceError for what the function is told, and with the signal's reason when aborted. */
export type AnswerCall = (call: Call) => Promise<CallAnswer>;

interface OpenCallsOptions {
  readonly answer: AnswerCall;
  /** Sends the answer: the request, the JSON of its head, and its body. */
  send(request: number, head: Buffer, body: Uint8Array): void;
}

interface Open {
  readonly bytes: number;
  readonly abort: AbortController;
}

const NOTHING = new Uint8Array();

/** What an isolate has asked for and was not answered. All of it ends with the batch, with the isolate, and with its host. */
export class OpenCalls {
  readonly #options: OpenCallsOptions;
  readonly #open = new Map<number, Open>();
  #bytes = 0;

  constructor(options: OpenCallsOptions) {
    this.#options = options;
  }

  /** Takes the body of a CALL frame. @throws RangeError when it is cut short */
  take(frame: Buffer): void {
    const request = frame.readUInt32BE(0);
    const what = frame.readUInt8(4);
    const end = 9 + frame.readUInt32BE(5);
    if (end > frame.length) throw new RangeError("a call is cut short");
    if (this.#open.size >= CALLS_MAX || this.#bytes + frame.length > BYTES_MAX || this.#open.has(request)) {
      return this.#fail(request, new MillraceError("LIMIT_CALLS", "the function has asked for more than it may at once"));
    }
    const head = jsonOf(frame.toString("utf8", 9, end));
    // A copy: the frame is a view of what was read together with it.
    const body = Buffer.from(frame.subarray(end));
    const open = { bytes: frame.length, abort: new AbortController() };
    this.#open.set(request, open);
    this.#bytes += open.bytes;
    void this.#answer(request, open, { what, head, body, signal: open.abort.signal });
  }

  callOff(request: number): void {
    this.#open.get(request)?.abort.abort();
  }

  /** Nobody waits for anything any more. */
  end(): void {
    if (this.#open.size === 0) return;
    const all = [...this.#open.values()];
    this.#open.clear();
    this.#bytes = 0;
    for (const { abort } of all) abort.abort();
  }

  async #answer(request: number, open: Open, call: Call): Promise<void> {
    try {
      const { head, body } = await this.#options.answer(call);
      if (this.#leave(request, open)) this.#options.send(request, Buffer.from(JSON.stringify(head)), body ?? NOTHING);
    } catch (error) {
      if (this.#leave(request, open)) this.#fail(request, error);
    }
  }

  /** Whether it was open still. */
  #leave(request: number, open: Open): boolean {
    if (this.#open.get(request) !== open) return false;
    this.#open.delete(request);
    this.#bytes -= open.bytes;
    return true;
  }

  /** Without a code it is the author's mistake, or was called off. */
  #fail(request: number, error: unknown): void {
    const code = error instanceof MillraceError ? error.code : "";
    this.#options.send(request, Buffer.from(JSON.stringify({ error: { code, message: messageOf(error) } })), NOTHING);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Whoever answers finds it wanting.
  }
}
