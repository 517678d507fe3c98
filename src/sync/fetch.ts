import { BUNDLE_BYTES_MAX } from "../core/bundle.ts";
import type { Clock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import type { ArtifactChunk, ArtifactGet } from "../core/link-messages.ts";

const CHUNK_TIMEOUT_MS = 10_000;
const CHUNK_TRIES = 3;

/** Asks for a bundle piece by piece, one piece at a time. A lost question or answer is asked again. */
export class Fetcher {
  readonly #ask: (wanted: ArtifactGet) => void;
  readonly #clock: Clock;
  #expected: { wanted: ArtifactGet; resolve: (chunk: ArtifactChunk) => void } | undefined;

  constructor(ask: (wanted: ArtifactGet) => void, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** A piece arrived; one that nobody waits for is ignored. */
  received(chunk: ArtifactChunk): void {
    const { wanted, resolve } = this.#expected ?? {};
    if (wanted?.digest === chunk.digest && wanted.offset === chunk.offset) resolve?.(chunk);
  }

  /** @throws MillraceError NOT_FOUND, BUNDLE_TOO_LARGE, BUNDLE_CORRUPT, LINK_DOWN */
  async *pieces(digest: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let offset = 0, total = Infinity; offset < total;) {
      const chunk = await this.#piece({ digest, offset }, signal);
      if (chunk.total === 0) throw new MillraceError("NOT_FOUND", `the control plane has no bundle ${digest}`);
      if (chunk.total > BUNDLE_BYTES_MAX) {
        throw new MillraceError(
          "BUNDLE_TOO_LARGE",
          `the bundle ${digest} is ${chunk.total} bytes, at most ${BUNDLE_BYTES_MAX} are allowed`,
        );
      }
      if (chunk.bytes.length === 0 || offset + chunk.bytes.length > chunk.total) {
        throw new MillraceError(
          "BUNDLE_CORRUPT",
          `the control plane sent ${chunk.bytes.length} bytes at ${offset} of ${chunk.total} for ${digest}`,
        );
      }
      yield chunk.bytes;
      offset += chunk.bytes.length;
      total = chunk.total;
    }
  }

  async #piece(wanted: ArtifactGet, signal: AbortSignal): Promise<ArtifactChunk> {
    for (let tries = 1; tries <= CHUNK_TRIES; tries++) {
      signal.throwIfAborted();
      const chunk = await this.#once(wanted, signal);
      if (chunk !== undefined) return chunk;
    }
    throw new MillraceError("LINK_DOWN", `the control plane did not send the bundle ${wanted.digest}`);
  }

  /** Undefined when nothing came in time. */
  async #once(wanted: ArtifactGet, signal: AbortSignal): Promise<ArtifactChunk | undefined> {
    const answer = Promise.withResolvers<ArtifactChunk>();
    this.#expected = { wanted, resolve: answer.resolve };
    const over = new AbortController();
    const timeout = this.#clock.sleep(CHUNK_TIMEOUT_MS, AbortSignal.any([signal, over.signal])).catch(() => undefined);
    try {
      this.#ask(wanted);
      return await Promise.race([answer.promise, timeout.then(() => undefined)]);
    } finally {
      over.abort();
      this.#expected = undefined;
    }
  }
}
