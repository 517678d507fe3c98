/**
 * Gateway and host talk over one inherited pipe, in frames; all integers are big-endian:
 *
 *   u32 length of what follows · u8 kind · u32 instance · body
 *
 *   to the host    LOAD      JSON LoadSpec: make an isolate with this code
 *                  RUN       u32 batch · u32 timeout ms · u32 wall ms · u32 cpu ms · items: handle them in order, one batch of an instance after another
 *                  STATE     u32 request · JSON {key: [[name, JSON text] …]}: the answer to STATE_GET; null for a key stands for too much
 *                            at once, and that it has to be asked for again. The first key is never null.
 *                  UNLOAD    drop the isolate
 *                  ANSWER    u32 request · u32 length · JSON: what was asked for, or {error: {code, message}} · bytes: the answer to CALL
 *                  ATTACH    u32 session: a debugger has come, in the place of the one before; this and the next three only to a host whose
 *                            isolates have an inspector
 *                  DETACH    u32 session: it has gone; the isolate is as before, and goes on if it was held
 *                  INSPECT   u32 session · UTF-8: what the debugger says, in Chrome's DevTools protocol
 *                  TAKEN     u32 session · u32 bytes of INSPECTED that the debugger has taken
 *                  PING      to be answered at once with PONG, by the thread that everything else in the host depends on
 *   to the gateway READY     the process has started
 *                  LOADED    JSON StartTimes as u32 length and text · the result of `init`, when there is one
 *                  FAILED    JSON {code, message} as u32 length and text · the result of `init`, when that has failed: the isolate could not be made
 *                  STATE_GET u32 request · JSON [key …]
 *                  CALL      u32 request · u8 what, see guest-call-kinds.ts · u32 length · JSON · bytes: asks the gateway for something
 *                  CALL_OFF  u32 request: what was asked for is of no use any more; there is an answer all the same
 *                  RESULT    u32 batch · u32 µs of a processor that it took · u32 KiB of the heap, 0 when it was not looked at
 *                            · results, one for each item
 *                  CUT       u32 batch · JSON {code, message} as u32 length and text · u16 finished items · u32 ms that the next one had
 *                            been running · results of the finished ones. The isolate is gone.
 *                  STUCK     JSON {code, message}: the isolate cannot be stopped, so the host has to be killed
 *                  PONG      the answer to PING
 *                  INSPECTED u32 session · UTF-8: what the isolate says to its debugger
 *
 * item:   u8 flags · u8 attempt · u8 trigger · u48 seq · u16 key bytes (0: the topic) · key · [u16 trace bytes · trace]
 *         · the record of the message as in core/message.ts
 *         flags: 1 resumes the key · 2 is given up when it fails · 4 is not even given up when it fails for good · 8 a trace follows the key:
 *         the traceparent that names the handling of this message, and after a line feed the tracestate if there is one · 16 on the first item of a
 *         batch: forget the state of all keys before anything else
 * result: u8 status
 *         0 done      u16 n · n logs · u16 n · n × (u16 name · u32 value, 0xFFFFFFFF deletes) · u16 n · n × (u16 type · u16 subject · u32 data)
 *                     · u16 n · n records to publish
 *         4 done, with an answer to a request   u16 status · u32 JSON [[name, value] …] of its headers · u32 body · then as with 0
 *         1 failed, to be retried · 2 failed for good   u32 JSON {code, name, message, stack} · u16 n · n logs
 *         5 done as 0, together with those behind it up to the next 0: what is wanted for all of them is there
 *         3 deferred: an earlier message of the same key failed and waits for its retry. With strict order a guest answers so from the failure of a
 *           message that is not given up with it until a message resumes the key.
 *           A name with 0x8000 added to its length is of the state that all keys share.
 * log:    u8 level · u32 text; level 4: the text is the number of lines that were left out; with 8 added: u32 fields, the JSON of an object
 *
 * A call belongs to the batch that is being handled, or to `init`: with its RESULT or CUT, LOADED or FAILED, the gateway drops what is not answered.
 *
 * Back-pressure: the gateway has at most two batches of an instance under way, so neither side ever holds more than that. A host says no more to a
 * debugger while `INSPECT_LIMITS.windowBytes` of it are not taken.
 */
import type { GuestTrigger } from "./guest-types.ts";

export const FRAME = {
  LOAD: 1,
  RUN: 2,
  STATE: 3,
  UNLOAD: 4,
  PING: 5,
  ANSWER: 6,
  ATTACH: 7,
  DETACH: 8,
  INSPECT: 9,
  TAKEN: 10,
  READY: 16,
  LOADED: 17,
  FAILED: 18,
  STATE_GET: 19,
  RESULT: 20,
  CUT: 21,
  STUCK: 22,
  PONG: 23,
  CALL: 24,
  CALL_OFF: 25,
  INSPECTED: 26,
} as const;

/** Whether a frame to a host comes from a debugger. */
export function isForInspector(kind: number): boolean {
  return kind >= FRAME.ATTACH && kind <= FRAME.TAKEN;
}

export const INSPECT_LIMITS = {
  /** On their way to a debugger. */
  windowBytes: 4 * 1024 * 1024,
  /** One message of the DevTools protocol. */
  messageBytes: 64 * 1024 * 1024,
  /** For so long an isolate that a debugger looks into may take for a batch: longer than any inspection. */
  batchMs: 24 * 3_600_000,
} as const;

const FRAME_HEADER_BYTES = 9;
/** A frame that claims to be longer comes from a process gone mad. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024;

export interface LoadSpec {
  readonly name: string;
  readonly version: number;
  readonly gateway: string;
  readonly code: string;
  readonly env: Readonly<Record<string, string>>;
  readonly triggers: readonly GuestTrigger[];
  readonly publish: readonly string[];
  readonly emit: readonly string[];
  /** Whether messages go to `batch` of the function, and not one by one to its handler. */
  readonly batch: boolean;
  /** Whether a message that failed holds back those behind it with the same key. */
  readonly strict: boolean;
  readonly memoryBytes: number;
  /** For `init`. */
  readonly initMs: number;
  readonly wallMs: number;
  readonly outputBytes: number;
  readonly stateValueBytes: number;
  /** Of one body of a fetch. */
  readonly fetchBytes: number;
  /** Names of those that it may read. */
  readonly secrets: readonly string[];
  /** Whether the function may keep what all of its keys see: it has one isolate at a time. */
  readonly shared: boolean;
  /** `state.version` of the manifest. */
  readonly stateVersion: number;
}

/** Where the time went until an instance was ready for its first batch, in milliseconds. */
export interface StartTimes {
  /** The isolate with its context and the guest code; next to nothing when it was `pooled`. */
  readonly isolateMs: number;
  readonly compileMs: number;
  /** The top level of the function's code, and its `init`. */
  readonly initMs: number;
  /** The isolate had been made before it was asked for. */
  readonly pooled: boolean;
  /** The code had been compiled before. */
  readonly cached: boolean;
}

/** What went wrong with a batch or an isolate as a whole. */
export interface Fault {
  readonly code: string;
  readonly message: string;
}

/** Longer frames are not put together: a copy of what is large costs more than a few more pieces to write. */
const GATHERED_BYTES_MAX = 64 * 1024;

/** What frames are written to. */
interface FrameStream {
  write(piece: Uint8Array): boolean;
  cork(): void;
  uncork(): void;
}

/** Writes one frame. The parts must not change any more. */
export function writeFrame(
  stream: FrameStream,
  { kind, instance }: { kind: number; instance: number },
  parts: readonly Uint8Array[],
): void {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const head = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
  head.writeUInt32BE(length + FRAME_HEADER_BYTES - 4, 0);
  head[4] = kind;
  head.writeUInt32BE(instance, 5);
  if (length <= GATHERED_BYTES_MAX) {
    stream.write(Buffer.concat([head, ...parts]));
    return;
  }
  stream.cork();
  stream.write(head);
  for (const part of parts) if (part.length > 0) stream.write(part);
  stream.uncork();
}

export function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}

/** Cuts a stream of bytes into frames. `take` gets the body as a view, valid for as long as it keeps it. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);
  #chunks: Buffer[] = [];
  #size = 0;
  #needed = 4;
  readonly #take: (kind: number, instance: number, body: Buffer) => void;

  constructor(take: (kind: number, instance: number, body: Buffer) => void) {
    this.#take = take;
  }

  /** @throws RangeError when a frame is longer than FRAME_BYTES_MAX */
  push(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    if (this.#rest.length + this.#size < this.#needed) return;
    let bytes = Buffer.concat([this.#rest, ...this.#chunks]);
    this.#chunks = [];
    this.#size = 0;
    this.#needed = 4;
    while (bytes.length >= 4) {
      const end = 4 + bytes.readUInt32BE(0);
      if (end > FRAME_BYTES_MAX || end < FRAME_HEADER_BYTES) throw new RangeError(`a frame of ${end} bytes`);
      if (bytes.length < end) {
        this.#needed = end;
        break;
      }
      this.#take(bytes[4] ?? 0, bytes.readUInt32BE(5), bytes.subarray(FRAME_HEADER_BYTES, end));
      bytes = bytes.subarray(end);
    }
    this.#rest = bytes;
  }
}
