import type { IncomingMessage } from "node:http";
import { MillraceError } from "../core/errors.ts";

const FIRST_BYTES = 4 * 1024;

/** Why a request has no body that can be handed on. */
export class BodyTooLarge extends Error {
  constructor(bytesMax: number) {
    super(`the body has more than ${bytesMax} bytes`);
  }
}

export interface BodyBounds {
  readonly bytesMax: number;
  /** Time for all of it, in milliseconds. */
  readonly timeMs: number;
  /** Called before so many bytes of memory are used for it, all in all; may throw. */
  hold(bytes: number): void;
}

/**
 * The whole body of a request, in one piece of memory: a list of what came would cost hundreds of bytes for each that is sent alone. When it
 * fails the rest is not read, and the connection cannot be used for another request.
 *
 * @throws BodyTooLarge; MillraceError REQUEST_TIMEOUT; what `hold` throws; what the connection failed with, when the client has gone
 */
export async function readBody(incoming: IncomingMessage, bounds: BodyBounds): Promise<Buffer> {
  const announced = Number(incoming.headers["content-length"] ?? 0);
  if (announced > bounds.bytesMax) throw new BodyTooLarge(bounds.bytesMax);
  if (announced > 0) bounds.hold(announced);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const body = new GrowingBody(bounds, announced);
  const take = (chunk: Buffer): void => {
    try {
      body.add(chunk);
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const end = (): void => resolve(body.bytes);
  const fail = (error: Error): void => reject(error);
  const close = (): void => reject(new Error("the client has gone"));
  const late = setTimeout(() => reject(tooSlow(body.bytes.length, announced, bounds.timeMs)), bounds.timeMs);
  incoming.on("data", take).on("end", end).on("error", fail).on("close", close);
  try {
    return await promise;
  } finally {
    clearTimeout(late);
    incoming.off("data", take).off("end", end).off("error", fail).off("close", close).pause();
    // The connection may fail once more when nobody listens, and that would end the process.
    incoming.on("error", () => undefined);
  }
}

function tooSlow(come: number, announced: number, timeMs: number): MillraceError {
  const of = announced > 0 ? ` of ${announced}` : "";
  return new MillraceError("REQUEST_TIMEOUT", `after ${timeMs} ms ${come}${of} bytes of the body had come`);
}

/** Grows in steps, so that it is copied a few times at most and never much larger than what has come. */
class GrowingBody {
  readonly #bounds: BodyBounds;
  readonly #announced: number;
  #memory = Buffer.alloc(0);
  #length = 0;

  constructor(bounds: BodyBounds, announced: number) {
    this.#bounds = bounds;
    this.#announced = announced;
  }

  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  /** @throws BodyTooLarge and what `hold` throws */
  add(chunk: Buffer): void {
    const { bytesMax } = this.#bounds;
    const length = this.#length + chunk.length;
    if (length > bytesMax) throw new BodyTooLarge(bytesMax);
    if (length > this.#memory.length) this.#grow(length);
    chunk.copy(this.#memory, this.#length);
    this.#length = length;
  }

  #grow(least: number): void {
    const most = this.#announced > 0 ? this.#announced : this.#bounds.bytesMax;
    const size = Math.max(least, Math.min(most, Math.max(FIRST_BYTES, this.#memory.length * 2)));
    if (this.#announced === 0) this.#bounds.hold(size);
    const larger = Buffer.allocUnsafeSlow(size);
    this.bytes.copy(larger);
    this.#memory = larger;
  }
}
