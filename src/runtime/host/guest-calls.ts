import type { GuestTrace } from "./guest-types.ts";
import { LimitError, OutsideError } from "./guest-values.ts";

/** What calls need of the guest that drives the handler. */
export interface CallOwner {
  /** Whether the gateway answers what is running now, if it asks for that. */
  mayAsk(what: number): boolean;
  call(request: number, what: number, head: string, body: string): void;
  callOff(request: number): void;
  /** Of the only message that is being handled; undefined when it has none, or when there are several. */
  readonly trace: GuestTrace | undefined;
  /** Of a request to somewhere else. */
  readonly bodyBytesMax: number;
}

/** What is asked for. `head` becomes JSON; `body` has one character for each byte. */
interface CallRequest {
  readonly what: number;
  readonly head: unknown;
  readonly body?: string;
  /** Of the DOM standard, from whichever class. */
  readonly signal?: CallSignal | undefined;
}

export interface CallSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
}

interface CallAnswer {
  /** JSON as it reads back. */
  readonly head: unknown;
  readonly body: string;
}

/** What the message that is being handled has asked the gateway for; it ends with the message. */
class Calls {
  readonly #open = new Map<number, PromiseWithResolvers<CallAnswer>>();
  #owner: CallOwner | undefined;
  #request = 0;
  /** Of this message. */
  #fetches = 0;
  /** Whether there is anything to end. */
  used = false;

  attach(owner: CallOwner): void {
    this.#owner = owner;
    this.#open.clear();
    this.used = false;
    this.#fetches = 0;
  }

  get bodyBytesMax(): number {
    return this.#owner?.bodyBytesMax ?? 0;
  }

  get trace(): GuestTrace | undefined {
    return this.#owner?.trace;
  }

  /** Counts one more fetch of the message. */
  fetched(max: number): void {
    this.used = true;
    if (++this.#fetches > max) throw new LimitError("LIMIT_FETCH", `a message may fetch ${max} times; fetch less for each message`);
  }

  async ask({ what, head, body = "", signal }: CallRequest): Promise<CallAnswer> {
    const owner = this.#owner;
    if (owner?.mayAsk(what) !== true) throw new Error("the gateway can be asked only while a message is handled");
    if (signal?.aborted === true) throw signal.reason;
    this.used = true;
    const request = ++this.#request;
    const waiting = Promise.withResolvers<CallAnswer>();
    this.#open.set(request, waiting);
    const abort = (): void => {
      if (!this.#open.delete(request)) return;
      owner.callOff(request);
      waiting.reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort);
    owner.call(request, what, JSON.stringify(head), body);
    try {
      return await waiting.promise;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** `head` is JSON. */
  answered(request: number, head: string, body: string): void {
    const waiting = this.#open.get(request);
    if (waiting === undefined) return;
    this.#open.delete(request);
    const answer = JSON.parse(head) as { readonly error?: { readonly code: string; readonly message: string } };
    if (answer.error === undefined) waiting.resolve({ head: answer, body });
    else waiting.reject(callError(answer.error));
  }

  /** The message is over, and with it what it has not waited for. */
  over(): void {
    for (const request of this.#open.keys()) this.#owner?.callOff(request);
    this.#open.clear();
    this.#fetches = 0;
    this.used = false;
  }
}

function callError({ code, message }: { readonly code: string; readonly message: string }): Error {
  if (code === "") return new TypeError(message);
  if (code === "FETCH_FAILED" || code.startsWith("SECRET")) return new OutsideError(code, message);
  return new LimitError(code, message);
}

/** Of this isolate. */
export const calls = new Calls();
