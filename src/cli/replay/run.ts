import { aborted } from "../../core/lifecycle.ts";
import { MillraceError } from "../../core/errors.ts";
import type { CsvFile, CsvRow } from "../csv/rows.ts";
import type { ReplayPlan } from "./plan.ts";
import type { ReliablePublisher } from "./publisher.ts";

/** Told to stop, how long to wait for what is already on its way. */
const DRAIN_MS_MAX = 5_000;

export interface RowRange {
  /** First row below the header is 1. */
  readonly fromRow: number;
  readonly limit: number | undefined;
}

export interface ReplayOutcome {
  /** Rows that the broker has acknowledged. */
  readonly published: number;
  readonly interrupted: boolean;
  /** The row to go on with when it was interrupted. */
  readonly nextRow: number;
}

/** Walks the wanted rows with their numbers. */
export async function* numberedRows(source: CsvFile, range: RowRange): AsyncGenerator<{ number: number; row: CsvRow }, void, void> {
  const last = range.limit === undefined ? Number.POSITIVE_INFINITY : range.fromRow + range.limit - 1;
  if (last < range.fromRow) return;
  let number = 0;
  for await (const row of source.rows()) {
    number++;
    if (number >= range.fromRow) yield { number, row };
    if (number >= last) return;
  }
  if (number < range.fromRow - 1) {
    throw new MillraceError("USAGE", `--from-row ${range.fromRow}: ${source.file} has ${number} rows`);
  }
}

/** Publishes row after row until the end, an error or the signal. An error tells how far it came. */
export async function runReplay(
  source: CsvFile,
  plan: ReplayPlan,
  publisher: ReliablePublisher,
  options: RowRange & { signal: AbortSignal },
): Promise<ReplayOutcome> {
  const { signal } = options;
  let next = options.fromRow;
  try {
    for await (const { number, row } of numberedRows(source, options)) {
      const message = plan.toMessage(row);
      await plan.pace.wait(row, signal);
      await publisher.publish(number, message, signal);
      next = number + 1;
    }
    await publisher.drain(signal);
  } catch (error) {
    if (signal.aborted) return interrupted(publisher, next);
    if (error instanceof MillraceError) throw await withProgress(error, publisher, next);
    throw error;
  }
  return { published: publisher.acknowledged, interrupted: false, nextRow: next };
}

async function interrupted(publisher: ReliablePublisher, next: number): Promise<ReplayOutcome> {
  await drainFor(publisher, DRAIN_MS_MAX);
  return { published: publisher.acknowledged, interrupted: true, nextRow: publisher.oldestInFlight ?? next };
}

async function withProgress(error: MillraceError, publisher: ReliablePublisher, next: number): Promise<MillraceError> {
  if (error.code === "CSV_INVALID") await drainFor(publisher, DRAIN_MS_MAX);
  const { acknowledged } = publisher;
  const nextRow = publisher.oldestInFlight ?? next;
  const far = acknowledged === 0 ? "nothing was published" : `${acknowledged} rows were published, --from-row ${nextRow} goes on`;
  return new MillraceError(error.code, `${error.message}; ${far}`, { cause: error });
}

/** What is still unacknowledged afterwards shows in `oldestInFlight`; nobody who stops wants another error about it. */
async function drainFor(publisher: ReliablePublisher, ms: number): Promise<void> {
  const limit = AbortSignal.timeout(ms);
  await Promise.race([publisher.drain(limit).catch(() => {}), aborted(limit)]);
}
