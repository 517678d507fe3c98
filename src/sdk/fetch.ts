/** The part of the Fetch standard that functions have; objects of the web's own classes fit as well. */

/** Ends a request; an `AbortSignal` is one. */
export interface FetchSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

export interface FetchInit {
  /** `GET` (the default), `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`. */
  readonly method?: string;
  /** At most 100, with 16 KB. Not those that are for the connection: `host`, `content-length`, `transfer-encoding` and the like. */
  readonly headers?: Readonly<Record<string, string>> | Iterable<readonly [string, string]>;
  /** Text, bytes or URLSearchParams; at most `limits.fetch`. An object has to be written with `JSON.stringify`. */
  readonly body?: string | ArrayBuffer | ArrayBufferView | { getAll(name: string): readonly string[]; toString(): string };
  /** `follow` (the default) goes on to at most five addresses, each of which has to be allowed. */
  readonly redirect?: "follow" | "manual" | "error";
  readonly signal?: FetchSignal;
}

/** What looks like a `Request`. */
export interface FetchRequest extends FetchInit {
  readonly url: string;
}

export interface FetchHeaders extends Iterable<[string, string]> {
  /** Several values with commas between them; null when there is none. Names in any case. */
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  forEach(callback: (value: string, name: string) => void): void;
}

/** The answer, all of which has arrived. Its body can be read once. */
export interface FetchResponse {
  /** Whether the status is 200 to 299. Others are no errors. */
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  /** Where it came from, after redirects. */
  readonly url: string;
  readonly redirected: boolean;
  readonly headers: FetchHeaders;
  readonly bodyUsed: boolean;
  text(): Promise<string>;
  json(): Promise<unknown>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBufferLike>;
  clone(): FetchResponse;
}

export type Fetch = (url: string | { toString(): string } | FetchRequest, init?: FetchInit) => Promise<FetchResponse>;
