import type { Socket } from "node:net";

interface Chunk {
  readonly chunk: Buffer | string;
  readonly encoding: BufferEncoding;
}

type Done = (error?: Error | null) => void;
type Write = (chunk: Buffer, encoding: BufferEncoding, done: Done) => void;
type Destroy = (error: Error | null, done: Done) => void;

/** What a stream passes for the encoding of a buffer; Node's types do not know it. */
const BUFFER = "buffer" as BufferEncoding;

/** What may wait for the end of a turn before writers have to wait too. */
const HELD_BYTES_MAX = 64 * 1024;

/** With no more writes than this in a turn, the first of the next turn does not wait for others. */
const QUIET_WRITES_MAX = 8;

/**
 * Writes a busy socket once in a turn of the event loop, with everything that was written to it in that turn. The protocol engine sends each packet
 * in a step of its own and the packet writer in five or more pieces; a system call for each was a fifth of the work of a busy broker.
 */
export function coalesceWrites(socket: Socket): void {
  const held = new HeldWrites(Reflect.get(socket, "_write").bind(socket));
  const destroy: Destroy = Reflect.get(socket, "_destroy");
  const final: (done: Done) => void = Reflect.get(socket, "_final");
  const replace = (name: string, value: unknown): void => void Object.defineProperty(socket, name, { value });
  replace("_write", (chunk: Buffer | string, encoding: BufferEncoding, done: Done) => held.add([{ chunk, encoding }], done));
  replace("_writev", (chunks: readonly Chunk[], done: Done) => held.add(chunks, done));
  replace("_final", (done: Done) => held.flush(() => final.call(socket, done)));
  replace("_destroy", (error: Error | null, done: Done) => {
    // Whatever was written before the end, such as a DISCONNECT with its reason, is given to the kernel as it would have been.
    held.flush(() => undefined);
    destroy.call(socket, error, done);
  });
}

class HeldWrites {
  readonly #write: Write;
  #chunks: Chunk[] = [];
  #heldBytes = 0;
  #sentBytes = 0;
  #waiting: Done[] = [];
  #scheduled = false;
  #writes = 0;
  #busy = false;

  constructor(write: Write) {
    this.#write = write;
  }

  add(chunks: readonly Chunk[], done: Done): void {
    this.#writes++;
    for (const chunk of chunks) {
      this.#chunks.push(chunk);
      this.#heldBytes += sizeOf(chunk);
    }
    // A peer that does not read keeps bytes on their way; then writers wait like with any socket.
    if (this.#heldBytes + this.#sentBytes < HELD_BYTES_MAX) done();
    else this.#waiting.push(done);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#endTurn());
    if (!this.#busy) this.flush(() => undefined);
  }

  #endTurn(): void {
    this.#scheduled = false;
    this.#busy = this.#writes > QUIET_WRITES_MAX;
    this.#writes = 0;
    this.flush(() => undefined);
  }

  /** `done` is called when everything held has gone out, or with the error that kept it. */
  flush(done: Done): void {
    if (this.#heldBytes === 0) {
      done();
      return;
    }
    const joined = join(this.#chunks, this.#heldBytes);
    const waiting = this.#waiting;
    this.#chunks = [];
    this.#waiting = [];
    this.#heldBytes = 0;
    this.#sentBytes += joined.length;
    this.#write(joined, BUFFER, (error) => {
      this.#sentBytes -= joined.length;
      for (const next of waiting) next(error);
      done(error);
    });
  }
}

function sizeOf({ chunk, encoding }: Chunk): number {
  return typeof chunk === "string" ? Buffer.byteLength(chunk, encoding) : chunk.length;
}

function join(chunks: readonly Chunk[], size: number): Buffer {
  const joined = Buffer.allocUnsafe(size);
  let at = 0;
  for (const { chunk, encoding } of chunks) at += typeof chunk === "string" ? joined.write(chunk, at, encoding) : chunk.copy(joined, at);
  return joined;
}
