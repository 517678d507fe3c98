import { systemClock } from "../../core/clock.ts";
import { MillraceError } from "../../core/errors.ts";
import type { MessageProperties } from "../../core/message.ts";
import type { RecordedMessage } from "../../core/recording.ts";
import { RESERVED } from "../../core/trigger-topic.ts";
import { markReplayed } from "../../core/replay-mark.ts";
import type { CsvFile } from "../csv/rows.ts";
import { asFastAsPossible, type Pace, recordedPace, steadyPace } from "./pace.ts";
import type { ReplayPlan } from "./plan.ts";
import type { Recorded } from "./recorded.ts";

export interface Outgoing {
  readonly topic: string;
  readonly payload: string | Buffer;
  readonly properties?: MessageProperties | undefined;
}

/** One message to be published. Numbers grow; with the number of one a later run can begin there. */
export interface FeedItem {
  readonly number: number;
  readonly message: Outgoing;
  /** Resolves when it may be sent; rejects when the signal aborts. */
  due(signal: AbortSignal): Promise<void>;
  /** @throws MillraceError when the item does not say what its pace needs */
  check(): void;
}

/** What `replay` publishes, wherever it comes from. */
export interface Feed {
  readonly file: string;
  /** What an item is called. */
  readonly noun: "row" | "message";
  /** The flag that begins with a number. */
  readonly beginFlag: "--from-row" | "--from";
  /** The first number there can be. */
  readonly begin: number;
  /** Share of the file that has been read, 0 to 1; undefined when its size is not known. */
  progress(): number | undefined;
  /** Can be walked once. */
  items(): AsyncGenerator<FeedItem, void, void>;
}

export interface RowRange {
  /** First row below the header is 1. */
  readonly fromRow: number;
  readonly limit: number | undefined;
}

export function csvFeed(source: CsvFile, plan: ReplayPlan, range: RowRange): Feed {
  return {
    file: source.file,
    noun: "row",
    beginFlag: "--from-row",
    begin: range.fromRow,
    progress: () => source.progress(),
    items: () => rowItems(source, plan, range),
  };
}

async function* rowItems(source: CsvFile, plan: ReplayPlan, range: RowRange): AsyncGenerator<FeedItem, void, void> {
  const last = range.limit === undefined ? Number.POSITIVE_INFINITY : range.fromRow + range.limit - 1;
  let number = 0;
  for await (const row of source.rows()) {
    number++;
    if (number >= range.fromRow) {
      yield { number, message: plan.toMessage(row), due: (signal) => plan.pace.wait(row, signal), check: () => plan.pace.check(row) };
    }
    if (number >= last) return;
  }
  if (number < range.fromRow - 1) {
    throw new MillraceError("USAGE", `--from-row ${range.fromRow}: ${source.file} has ${number} rows`);
  }
}

/** Each message says in its properties where it comes from and when it was recorded. */
export function recordingFeed(
  recorded: Recorded,
  file: string,
  { rate, speed }: { rate?: number | undefined; speed?: number | undefined },
): Feed {
  if (rate !== undefined && speed !== undefined) throw new MillraceError("USAGE", "--rate and --speed exclude each other");
  const pace: Pace<RecordedMessage> =
    rate !== undefined
      ? steadyPace(rate, systemClock)
      : speed === undefined
        ? asFastAsPossible
        : recordedPace(speed, (message: RecordedMessage) => message.time, systemClock);
  return {
    file,
    noun: "message",
    beginFlag: "--from",
    begin: 0,
    progress: () => recorded.progress(),
    items: async function* () {
      for await (const message of recorded.messages()) {
        // What the gateway itself made, such as a tick, cannot be published: the broker there makes its own.
        if (message.topic.startsWith(RESERVED)) continue;
        const { topic, payload, properties } = markReplayed(message, recorded.gateway);
        const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
        yield {
          number: message.seq,
          message: { topic, payload: bytes, properties },
          due: (signal) => pace.wait(message, signal),
          check: () => {},
        };
      }
    },
  };
}
