import { FRAME, INSPECT_LIMITS, u32 } from "./host/frames.ts";

/** So much may wait for a host before a debugger that goes on sending has to leave. */
const UNSENT_BYTES_MAX = 32 * 1024 * 1024;

/** Answers with how many bytes wait for the host to take them. */
type Send = (kind: number, ...parts: readonly Uint8Array[]) => number;

/** A debugger. */
export interface InspectorClient {
  /** A message of the DevTools protocol, in UTF-8. To be followed by `taken` of the attachment when it is on its way. */
  message(text: Buffer): void;
  /** There will be no more messages. */
  closed(reason: string): void;
}

/** A debugger at an isolate. What it does after it was told `closed` has no effect. */
export interface Attachment {
  send(text: Uint8Array): void;
  taken(bytes: number): void;
  detach(): void;
}

/** The gateway's end of the way to the inspector of one instance. One debugger at a time: who comes takes the place of the one before. */
export class InspectorPort {
  readonly #send: Send;
  #session = 0;
  #client: InspectorClient | undefined;
  #untaken = 0;
  #closed = false;

  constructor(send: Send) {
    this.#send = send;
  }

  /** The instance is gone. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** Undefined when the instance is gone. */
  attach(client: InspectorClient): Attachment | undefined {
    if (this.#closed) return undefined;
    this.detach("another debugger has taken its place");
    const session = ++this.#session;
    const isCurrent = (): boolean => this.#client === client && this.#session === session;
    this.#client = client;
    this.#untaken = 0;
    this.#send(FRAME.ATTACH, u32(session));
    return {
      send: (text) => {
        if (!isCurrent() || this.#send(FRAME.INSPECT, u32(session), text) <= UNSENT_BYTES_MAX) return;
        this.detach("it says more than the host process takes");
      },
      taken: (bytes) => {
        if (!isCurrent()) return;
        this.#untaken -= bytes;
        this.#send(FRAME.TAKEN, u32(session, bytes));
      },
      detach: () => {
        if (isCurrent()) this.detach("");
      },
    };
  }

  /** The debugger has to leave; the isolate goes on if it was held. */
  detach(reason: string): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#client = undefined;
    this.#send(FRAME.DETACH, u32(this.#session));
    client.closed(reason);
  }

  /** To be told when the instance is gone. */
  close(reason: string): void {
    this.#closed = true;
    const client = this.#client;
    this.#client = undefined;
    client?.closed(reason);
  }

  /** The body of an INSPECTED frame. @throws RangeError when a host says more than it may */
  said(body: Buffer): void {
    const text = body.subarray(4);
    if (text.length > INSPECT_LIMITS.messageBytes) throw new RangeError(`a message of ${text.length} bytes to a debugger`);
    if (body.readUInt32BE(0) !== this.#session || this.#client === undefined) return; // For one that has left.
    if (this.#untaken >= INSPECT_LIMITS.windowBytes) throw new RangeError("more for a debugger than it has taken");
    this.#untaken += text.length;
    this.#client.message(text);
  }
}
