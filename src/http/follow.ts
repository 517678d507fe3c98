import { MillraceError } from "../core/errors.ts";
import type { LogQuery } from "../core/logs.ts";
import type { HttpParts } from "./parts.ts";

export const FOLLOWERS_MAX = 64;
const PAGE_RECORDS_MAX = 256;

/**
 * Log records as newline-delimited JSON for as long as the client reads. A client holds one page in memory: the next is fetched when it has
 * taken the last, so a slow one costs nothing and misses what the gateway has dropped meanwhile.
 */
export class LogFollowers {
  readonly #parts: Pick<HttpParts, "logs" | "waitForLogs">;
  readonly #stop = new AbortController();
  #count = 0;

  constructor(parts: Pick<HttpParts, "logs" | "waitForLogs">) {
    this.#parts = parts;
  }

  /** @throws MillraceError TOO_MANY_FOLLOWERS */
  open(query: LogQuery, client: AbortSignal): ReadableStream<Uint8Array> {
    if (this.#count >= FOLLOWERS_MAX) {
      throw new MillraceError("TOO_MANY_FOLLOWERS", `${this.#count} clients follow the logs already, at most ${FOLLOWERS_MAX} may`);
    }
    this.#count++;
    const gone = new AbortController();
    const signal = AbortSignal.any([client, gone.signal, this.#stop.signal]);
    signal.addEventListener("abort", () => this.#count--, { once: true });
    let at = query;
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      const page = await this.#nextPage(at, signal);
      at = { ...query, after: page.next, limit: PAGE_RECORDS_MAX };
      if (page.lines === "") controller.close();
      else controller.enqueue(Buffer.from(page.lines));
    };
    return new ReadableStream({
      pull: (controller) =>
        pull(controller).catch((error: unknown) => {
          gone.abort();
          throw error;
        }),
      cancel: () => gone.abort(),
    });
  }

  /** Ends every stream. */
  close(): void {
    this.#stop.abort();
  }

  /** Empty lines mean that the stream is over. */
  async #nextPage(query: LogQuery, signal: AbortSignal): Promise<{ lines: string; next: number }> {
    let at = query;
    while (!signal.aborted) {
      try {
        const { records, next } = await this.#parts.logs(at, signal);
        if (records.length > 0) return { lines: records.map((record) => `${JSON.stringify(record)}\n`).join(""), next };
        at = { ...query, after: next };
        await this.#parts.waitForLogs(next, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
    return { lines: "", next: at.after ?? 0 };
  }
}
