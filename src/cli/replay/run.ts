import { aborted } from "../../core/lifecycle.ts";
import { MillraceError } from "../../core/errors.ts";
import type { Feed } from "./feed.ts";
import type { ReliablePublisher } from "./publisher.ts";

/** Told to stop, how long to wait for what is already on its way. */
const DRAIN_MS_MAX = 5_000;

export interface ReplayOutcome {
  /** Items that the broker has acknowledged. */
  readonly published: number;
  readonly interrupted: boolean;
  /** The number to go on with when it was interrupted. */
  readonly next: number;
}

/** Publishes item after item until the end, an error or the signal. An error tells how far it came. */
export async function runReplay(feed: Feed, publisher: ReliablePublisher, signal: AbortSignal): Promise<ReplayOutcome> {
  let next = feed.begin;
  try {
    for await (const item of feed.items()) {
      await item.due(signal);
      await publisher.publish(item.number, item.message, signal);
      next = item.number + 1;
    }
    await publisher.drain(signal);
  } catch (error) {
    if (signal.aborted) return interrupted(publisher, next);
    if (error instanceof MillraceError) throw await withProgress(error, { feed, publisher, next });
    throw error;
  }
  return { published: publisher.acknowledged, interrupted: false, next };
}

async function interrupted(publisher: ReliablePublisher, next: number): Promise<ReplayOutcome> {
  await drainFor(publisher, DRAIN_MS_MAX);
  return { published: publisher.acknowledged, interrupted: true, next: publisher.oldestInFlight ?? next };
}

async function withProgress(
  error: MillraceError,
  { feed, publisher, next }: { feed: Feed; publisher: ReliablePublisher; next: number },
): Promise<MillraceError> {
  if (error.code === "CSV_INVALID" || error.code === "RECORDING_INVALID") await drainFor(publisher, DRAIN_MS_MAX);
  const { acknowledged } = publisher;
  const goOn = `${feed.beginFlag} ${publisher.oldestInFlight ?? next} goes on`;
  const far = acknowledged === 0 ? "nothing was published" : `${acknowledged} ${feed.noun}s were published, ${goOn}`;
  return new MillraceError(error.code, `${error.message}; ${far}`, { cause: error });
}

/** What is still unacknowledged afterwards shows in `oldestInFlight`; nobody who stops wants another error about it. */
async function drainFor(publisher: ReliablePublisher, ms: number): Promise<void> {
  const limit = AbortSignal.timeout(ms);
  await Promise.race([publisher.drain(limit).catch(() => {}), aborted(limit)]);
}
