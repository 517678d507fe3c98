import type { Duplex } from "node:stream";
import type { Turn, TurnTask } from "./turn.ts";

type Done = (error?: Error | null) => void;

/** What may wait in memory because the system does not take it, before writers have to wait too. */
const WAITING_BYTES_MAX = 64 * 1024;

/** So much is given to the system before the turn ends: a subscriber of what many publish gets more in a turn than may wait. */
const PIECE_BYTES_MAX = 64 * 1024;

/** With no more writes than this in a turn, the first of the next turn does not wait for others. */
const QUIET_WRITES_MAX = 8;

/** A PUBACK, which is all that a client that sends one message at a time gets in a turn (MQTT 5, 3.4). */
const SMALLEST_BYTES = 4;

const NOTHING = Buffer.alloc(0);

const OUTGOING = Symbol("outgoing");

/** A connection with what belongs to it. Set as any member: with defined ones V8 would look up every member of the connection in a table. */
interface Held {
  [OUTGOING]?: Outgoing;
  write: unknown;
  end: unknown;
  destroy: unknown;
  cork: unknown;
  uncork: unknown;
}

/** The outgoing side of a connection that `holdWrites` was called for. */
export function outgoingOf(connection: object): Outgoing | undefined {
  return (connection as Held)[OUTGOING];
}

/**
 * Writes a busy socket once in a turn of the event loop, with everything that was written to it in that turn. The protocol engine sends each
 * packet in a step of its own and the packet writer in five or more pieces; a system call and a pass through the stream's own queue for each
 * was more than a quarter of the work of a busy broker.
 */
export function holdWrites(socket: Duplex, turn: Turn): void {
  const outgoing = new Outgoing(socket, turn);
  const end = socket.end.bind(socket);
  const destroy = socket.destroy.bind(socket);
  const held: Held = socket;
  held[OUTGOING] = outgoing;
  held.write = (chunk: Uint8Array | string, encoding?: BufferEncoding | Done, done?: Done) => outgoing.write(chunk, encoding, done);
  held.end = (...args: Parameters<typeof end>) => {
    outgoing.flush();
    return end(...args);
  };
  held.destroy = (error?: Error) => {
    // Whatever was written before the end, such as a DISCONNECT with its reason, is given to the kernel as it would have been.
    outgoing.flush();
    return destroy(error);
  };
  held.cork = () => outgoing.cork();
  held.uncork = () => outgoing.uncork();
}

/** Bytes on their way to a socket, gathered in one piece. */
export class Outgoing implements TurnTask {
  readonly #socket: Duplex;
  readonly #turn: Turn;
  readonly #send: Duplex["write"];
  #bytes: Buffer = NOTHING;
  #length = 0;
  /** What the turn before needed: the size of the next piece of memory. */
  #usual = SMALLEST_BYTES;
  #scheduled = false;
  #writes = 0;
  #busy = false;
  #corks = 0;
  #waiting = false;

  constructor(socket: Duplex, turn: Turn) {
    this.#socket = socket;
    this.#turn = turn;
    this.#send = socket.write.bind(socket);
    socket.on("drain", () => (this.#waiting = false));
  }

  /** As a stream's: false when the writer should wait for `drain`. */
  write(chunk: Uint8Array | string, encoding?: BufferEncoding | Done, done?: Done): boolean {
    const callback = typeof encoding === "function" ? encoding : done;
    const size = typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.length;
    const plain = typeof chunk !== "string" || typeof encoding !== "string" || encoding === "utf8";
    if (size > WAITING_BYTES_MAX || callback !== undefined || !plain) {
      this.flush();
      return typeof encoding === "string" ? this.#send(chunk, encoding, callback) : this.#send(chunk, callback);
    }
    const at = this.reserve(size);
    if (typeof chunk === "string") this.#bytes.write(chunk, at);
    else this.#bytes.set(chunk, at);
    return this.written();
  }

  /** The piece that `reserve` gave a place in. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Makes room for `size` more bytes; they are to be put into `bytes` from the answer on, and `written` called after that. */
  reserve(size: number): number {
    const at = this.#length;
    this.#length += size;
    if (this.#length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#usual, this.#length + (at === 0 ? 0 : this.#length)));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    return at;
  }

  /** Answers like `write`. */
  written(): boolean {
    this.#writes++;
    if (!this.#scheduled) {
      this.#scheduled = true;
      this.#turn.atEnd(this);
      if (!this.#busy && this.#corks === 0) this.flush();
    } else if (this.#length >= PIECE_BYTES_MAX && this.#corks === 0) this.flush();
    return !this.isFull;
  }

  /** Whether writers should wait for `drain`. */
  get isFull(): boolean {
    // What is too long to be gathered here goes past `written`.
    this.#waiting ||= this.#length + this.#socket.writableLength >= WAITING_BYTES_MAX;
    return this.#waiting;
  }

  /** A packet is being written in pieces that go out together. */
  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    this.#corks--;
    if (this.#corks === 0 && !this.#busy) this.flush();
  }

  endTurn(): void {
    this.#scheduled = false;
    this.#busy = this.#writes > QUIET_WRITES_MAX;
    this.#writes = 0;
    this.flush();
    // A socket that took everything at once says nothing; the writers that were told to wait go on.
    if (this.#waiting && !this.#socket.writableNeedDrain) this.#socket.emit("drain");
  }

  flush(): void {
    if (this.#length === 0) return;
    const piece = this.#length === this.#bytes.length ? this.#bytes : this.#bytes.subarray(0, this.#length);
    this.#usual = Math.min(WAITING_BYTES_MAX, Math.max(SMALLEST_BYTES, this.#length));
    this.#bytes = NOTHING;
    this.#length = 0;
    if (this.#socket.writable) this.#send(piece);
  }
}
