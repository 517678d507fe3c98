/** A request for a function, as its message carries it. */
export interface HttpDetails {
  readonly method: string;
  /** Below `/fn`, percent-encoded as it came. */
  readonly path: string;
  /** A parameter that is given more than once is a list. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  /** Names in lower case, without what speaks for a person: `authorization`, `proxy-authorization` and `cookie`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What a handler has returned for a request. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

/** What became of a request whose message is in the journal. */
export type CallResult =
  | { readonly kind: "answer"; readonly answer: HttpAnswer }
  | { readonly kind: "error"; readonly code: string; readonly message: string };

export interface CallRequest {
  readonly details: HttpDetails;
  /** Decoded. */
  readonly segments: readonly string[];
  readonly contentType: string | undefined;
  readonly body: Uint8Array;
}

/** What became of a request: only taken, or handled as well. `id` is that of its message. */
export type CallReply = { readonly id: string; readonly result?: CallResult };

/** A route that a request takes, or what there is instead. */
export type CallTarget =
  | { readonly kind: "found"; readonly function: string; readonly trigger: number }
  | { readonly kind: "method"; readonly allow: readonly string[] }
  | { readonly kind: "none"; readonly nearest?: string };

/** Requests for functions at once. */
export const CALLS_MAX = 256;

export const ANSWER_HEADERS_MAX = 64;
export const ANSWER_HEADERS_BYTES_MAX = 16 * 1024;
