import { Agent as HttpAgent, type IncomingMessage, request as httpRequest, type RequestOptions } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import { pipeline, type Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import type { LookupAddress } from "node:dns";
import { MillraceError, systemCode } from "../../core/errors.ts";
import { formatSize } from "../../core/units.ts";
import type { FetchRequest } from "./request.ts";

/** Of an answer. */
const HEADER_BYTES_MAX = 16 * 1024;
/** Connections are kept that long for the next request. */
const IDLE_MS = 4_000;
const IDLE_MAX = 4;
/** May be sent again when a kept connection turns out to be closed. */
const REPEATABLE = ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"];
const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** One answer of a server, before redirects are looked at. */
export interface Received {
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly location: string | undefined;
  readonly body: Buffer;
}

interface ExchangeWays {
  /** Of a name, those that the function may reach. Rejects when there are none. */
  addresses(name: string): Promise<readonly LookupAddress[]>;
  /** Of the body of the answer, decoded. */
  readonly bytesMax: number;
  readonly userAgent: string;
  readonly signal: AbortSignal;
}

/**
 * The connections of one function. They are not shared with others: where a name leads is decided when the connection is made, and another function
 * may not be allowed to get there.
 */
export class Connections implements Disposable {
  readonly #options = { keepAlive: true, maxFreeSockets: IDLE_MAX, timeout: IDLE_MS, scheduling: "lifo" } as const;
  readonly #http = new HttpAgent(this.#options);
  readonly #https = new HttpsAgent(this.#options);

  /**
   * Sends the request and reads the whole answer. What is aborted is closed.
   * @throws MillraceError LIMIT_FETCH, and what `addresses` rejects with; Error when the other side cannot be reached or breaks off
   */
  async exchange(request: FetchRequest, ways: ExchangeWays): Promise<Received> {
    try {
      return await this.#once(request, ways, true);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return this.#once(request, ways, false);
    }
  }

  async #once(request: FetchRequest, ways: ExchangeWays, mayKeep: boolean): Promise<Received> {
    const response = await this.#send(request, ways, mayKeep);
    const { statusCode: status = 0, statusMessage: statusText = "", headers } = response;
    const about = { status, statusText, headers: pairsOf(response.rawHeaders), location: headers.location };
    const isRedirect = request.redirect !== "manual" && status >= 300 && status <= 399 && headers.location !== undefined;
    if (isRedirect) response.destroy();
    return { ...about, body: isRedirect || request.method === "HEAD" ? Buffer.alloc(0) : await bodyOf(response, request, ways) };
  }

  #send(request: FetchRequest, ways: ExchangeWays, mayKeep: boolean): Promise<IncomingMessage> {
    const { url, method, body } = request;
    const isSecure = url.protocol === "https:";
    const options: RequestOptions = {
      method,
      headers: headersOf(request, ways.userAgent),
      lookup: pinned(ways),
      maxHeaderSize: HEADER_BYTES_MAX,
      signal: ways.signal,
      ...(mayKeep ? { agent: isSecure ? this.#https : this.#http } : { agent: false }),
    };
    return new Promise((resolve, reject) => {
      const sent = isSecure ? httpsRequest(url, options) : httpRequest(url, options);
      sent.once("response", resolve);
      // A second one may follow when the connection is closed; the first says why.
      sent.on("error", (error) => {
        const isStale = mayKeep && sent.reusedSocket && systemCode(error) === "ECONNRESET" && REPEATABLE.includes(method);
        reject(isStale && !ways.signal.aborted ? new StaleConnection("", { cause: error }) : error);
      });
      sent.end(body);
    });
  }

  [Symbol.dispose](): void {
    this.#http.destroy();
    this.#https.destroy();
  }
}

/** A kept connection had been closed by the other side before the request was on its way. */
class StaleConnection extends Error {}

/** The address that is connected to is one that was looked at, whatever the name leads to a moment later. */
function pinned(ways: ExchangeWays): LookupFunction {
  return (name, options, callback) => {
    const tell = (found: readonly LookupAddress[]): void => {
      const [first] = found;
      if (options.all === true) callback(null, [...found]);
      else callback(null, first?.address ?? "", first?.family);
    };
    ways.addresses(name).then(tell, (error: NodeJS.ErrnoException) => callback(error, ""));
  };
}

function headersOf({ headers, method, body }: FetchRequest, userAgent: string): Record<string, string[]> {
  const all: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (const [name, value] of headers) (all[name] ??= []).push(value);
  all["accept"] ??= ["*/*"];
  all["accept-encoding"] ??= ["gzip, deflate, br"];
  all["user-agent"] ??= [userAgent];
  if (body.length > 0 || method === "POST" || method === "PUT") all["content-length"] = [String(body.length)];
  return all;
}

function pairsOf(raw: readonly string[]): [string, string][] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [raw[index * 2]?.toLowerCase() ?? "", raw[index * 2 + 1] ?? ""]);
}

async function bodyOf(response: IncomingMessage, { url }: FetchRequest, { bytesMax }: ExchangeWays): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop ends the connection.
  for await (const chunk of decoded(response) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) {
      const text = `the answer of ${url.host} is larger than limits.fetch, ${formatSize(bytesMax)}; ask for less or raise the limit`;
      throw new MillraceError("LIMIT_FETCH", text);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decoded(response: IncomingMessage): Readable {
  const decoder = DECODERS[response.headers["content-encoding"]?.trim().toLowerCase() ?? ""]?.();
  if (decoder === undefined || response.statusCode === 204 || response.statusCode === 304) return response;
  pipeline(response, decoder, () => undefined); // Whoever reads from the decoder gets the error.
  return decoder;
}
