import { createHash } from "node:crypto";

/** How it is known who a client is. */
export type Proof = "password" | "certificate" | "token" | "none";

/** Who a client is, as far as it counts for what it may do. */
export interface Identity {
  /** Undefined for one that came without saying who it is. */
  readonly user: string | undefined;
  readonly groups: readonly string[];
  readonly proof: Proof;
  /** When a token ends, in ms since 1970. */
  readonly until?: number;
  /** Of the stored password that was right, see `digestOf`. */
  readonly passwordDigest?: string | undefined;
}

/** Tells whether a stored password is still the same one, and says nothing of it. */
export function digestOf(storedPassword: string): string {
  return createHash("sha256").update(storedPassword).digest("base64");
}

/** A client as rules see it; a function as well, of which only the name counts. */
export interface Subject {
  readonly user: string | undefined;
  readonly groups: readonly string[];
  readonly client: string;
  /** Undefined on a Unix socket. */
  readonly address: string | undefined;
  /** Name of a function; undefined for a client. */
  readonly function?: string;
}

export function functionSubject(name: string): Subject {
  return { user: undefined, groups: [], client: "", address: undefined, function: name };
}

/** Its members may read `$SYS`. Clients on loopback and Unix sockets that do not say who they are belong to it. */
export const OPERATORS = "operators";
