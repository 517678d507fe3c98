import { MillraceError, messageOf, systemCode } from "../core/errors.ts";
import { z } from "zod";

/** What runs SQL: the store itself, or one transaction of it. Parameters are `$1`, `$2` … in PostgreSQL's SQL. */
export interface Queryable {
  /** The rows, each checked against `row`. */
  query<Row>(row: z.ZodType<Row>, sql: string, params?: readonly unknown[]): Promise<Row[]>;
  /** How many rows were inserted, updated or deleted. */
  execute(sql: string, params?: readonly unknown[]): Promise<number>;
  /** Several statements without parameters. */
  script(sql: string): Promise<void>;
  /** Runs a `copy … from stdin` with these bytes as its input. */
  copy(sql: string, bytes: Buffer<ArrayBuffer>): Promise<void>;
}

/**
 * The control plane's database. The SQL that goes through it is PostgreSQL's, so a PostgreSQL server can stand behind it.
 * What fails is a MillraceError STORE_FAILED or DISK_FULL with the database's error as its cause.
 */
export interface Store extends Queryable, AsyncDisposable {
  /** Commits when `work` resolves, rolls back when it rejects. Resolves only when the commit is on disk. */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** Resolves, with the reason, when the database is beyond use until the process is started again. */
  readonly broken: Promise<MillraceError>;
  close(): Promise<void>;
}

/** The SQLSTATE of a failed statement (PostgreSQL, appendix A), if the database gave one. */
export function sqlState(error: unknown): string | undefined {
  const cause = error instanceof MillraceError ? error.cause : error;
  if (!(cause instanceof Error) || !("code" in cause) || typeof cause.code !== "string") return undefined;
  return /^[0-9A-Z]{5}$/.test(cause.code) ? cause.code : undefined;
}

/** Whether the values were at fault (class 22: data exception, 23: constraint, 54: program limit), so that trying again is of no use. */
export function isDataFault(error: unknown): boolean {
  const state = sqlState(error);
  return state !== undefined && /^(?:22|23|54)/.test(state);
}

/** Whether a row is there already (SQLSTATE 23505). */
export function isDuplicate(error: unknown): boolean {
  return sqlState(error) === "23505";
}

const DISK_FULL_STATE = "53100";
/** What Emscripten's file system throws is no Error and has WASI's number of ENOSPC. */
const fileFault = z.object({ errno: z.int() });
const ENOSPC_WASI = 51;

export function storeError(cause: unknown): MillraceError {
  const { data: fault } = fileFault.safeParse(cause instanceof Error ? undefined : cause);
  const text = fault === undefined ? messageOf(cause) : `file system error ${fault.errno}`;
  if (
    fault?.errno === ENOSPC_WASI ||
    systemCode(cause) === "ENOSPC" ||
    sqlState(cause) === DISK_FULL_STATE ||
    /no space left/i.test(text)
  ) {
    return new MillraceError("DISK_FULL", `the control plane's store: the disk is full (${text})`, { cause });
  }
  return new MillraceError("STORE_FAILED", `the control plane's store: ${text}`, { cause });
}
