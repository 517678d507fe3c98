import { flushCompileCache } from "node:module";
import { backoffMs, type Clock, systemClock } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import { aborted } from "../core/lifecycle.ts";
import type { CommandIo } from "./command.ts";

/** What the runner needs of a gateway or a control plane. */
export interface Daemon {
  readonly addresses: Readonly<Record<string, string>>;
  /** Resolves when it has stopped as told, rejects when it could not go on. */
  readonly stopped: Promise<void>;
  close(): Promise<void>;
}

/** A supervisor is promised an end within 3 s; the rest is for the process to leave. */
const CLOSE_MS_MAX = 2_800;

/** The wait before a daemon that could not go on is started again. */
const RESTART = { minMs: 500, maxMs: 15_000 };

export interface DaemonRun {
  /** What it calls itself to a person: `gateway milan-1`. */
  readonly title: string;
  start(): Promise<Daemon>;
  /**
   * Asked when a daemon that was ready could not go on, and when it could not be started again after that: whether this passes by itself, such
   * as a full disk. Then it is started again in this process after `waitMs`.
   */
  passes?(failure: unknown, waitMs: number): boolean;
  readonly clock?: Clock;
}

/**
 * Starts a daemon, prints one line when it is ready, keeps it until the signal aborts, and closes it.
 *
 * @throws MillraceError whatever the daemon could not start or go on with, or STOP_TIMEOUT
 */
export async function runDaemon(io: CommandIo & { readonly json: boolean }, run: DaemonRun): Promise<number> {
  let daemon: Daemon | undefined = await started(io.signal, run);
  if (!io.signal.aborted) io.stdout(readyLine(run.title, daemon, io.json));
  // Not at the end of the process: a power cut has none. Where nothing is new nothing is written.
  flushCompileCache();
  while (daemon !== undefined) {
    const failures = await ended(io.signal, daemon, run);
    if (failures.length === 0) return 0;
    // What went wrong first is the cause; a daemon that has failed may well fail to close too.
    daemon = await startedAgain(io.signal, run, failures[0]);
  }
  return 0;
}

/** Waits for the daemon's end or for the signal and closes it. Answers with what went wrong, the first first. */
async function ended(signal: AbortSignal, daemon: Daemon, run: DaemonRun): Promise<unknown[]> {
  const failures: unknown[] = [];
  await Promise.race([daemon.stopped, aborted(signal)]).catch((error: unknown) => failures.push(error));
  await inTime(run, daemon.close()).catch((error: unknown) => failures.push(error));
  return failures;
}

/** Undefined when the signal came first. @throws the failure when it does not pass by itself */
async function startedAgain(signal: AbortSignal, run: DaemonRun, failure: unknown): Promise<Daemon | undefined> {
  const { clock = systemClock } = run;
  for (let attempt = 1; ; attempt++) {
    const wait = backoffMs(attempt, RESTART);
    if (signal.aborted || run.passes?.(failure, wait) !== true) throw failure;
    await Promise.race([clock.sleep(wait), aborted(signal)]);
    if (signal.aborted) return undefined;
    try {
      return await started(signal, run);
    } catch (error) {
      failure = error;
    }
  }
}

/** A start cannot be taken back half-way, so an abort meanwhile gives it the time that closing has. */
async function started(signal: AbortSignal, run: DaemonRun): Promise<Daemon> {
  const starting = run.start();
  return Promise.race([starting, aborted(signal).then(() => inTime(run, starting))]);
}

/** The work's result, or STOP_TIMEOUT when it takes longer than closing may. */
async function inTime<T>({ title, clock = systemClock }: DaemonRun, work: Promise<T>): Promise<T> {
  const done = new AbortController();
  const late = clock.sleep(CLOSE_MS_MAX, done.signal).then(() => {
    throw new MillraceError("STOP_TIMEOUT", `${title} did not stop within ${CLOSE_MS_MAX} ms`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}

function readyLine(title: string, { addresses }: Daemon, json: boolean): string {
  if (json) return `${JSON.stringify({ addresses, pid: process.pid })}\n`;
  const where = Object.values(addresses).join(" and ");
  return `${title} is ready at ${where} (process ${process.pid})\n`;
}
