import type { CommandContext } from "../command.ts";
import { clearLine, count, printable } from "../terminal/text.ts";
import type { Feed } from "./feed.ts";
import { defaultClientId, ReliablePublisher } from "./publisher.ts";
import { runReplay } from "./run.ts";

const EXIT_INTERRUPTED = 130;
const PROGRESS_MS = 200;
const DRY_RUN_SHOWN = 3;
const DISTINCT_TOPICS_MAX = 10_000;

export interface PublishFlags {
  readonly broker: string;
  /** Distinguishes clients of the same file. */
  readonly topic: string | undefined;
  readonly qos: number;
  readonly retain: boolean;
  readonly "in-flight": number;
  readonly patience: number;
  readonly "client-id": string | undefined;
}

type Output = Pick<CommandContext, "stdout" | "stderr" | "signal" | "tty" | "json">;

export async function publishFeed(output: Output, feed: Feed, flags: PublishFlags): Promise<number> {
  const { signal, json } = output;
  const startedAt = performance.now();
  const progress = startProgress(output);
  await using publisher = new ReliablePublisher({
    url: flags.broker,
    clientId: flags["client-id"] ?? defaultClientId(feed.file, flags.topic ?? ""),
    qos: flags.qos === 0 ? 0 : flags.qos === 1 ? 1 : 2,
    retain: flags.retain,
    inFlightMax: flags["in-flight"],
    patienceMs: flags.patience,
    noun: feed.noun,
    onNotice: (text) => output.stderr(`${progress.clear()}${text}\n`),
  });
  progress.show(() => progressLine(feed, publisher, startedAt));
  const outcome = await runReplay(feed, publisher, signal).finally(() => progress.stop());
  const seconds = (performance.now() - startedAt) / 1000;
  const rate = outcome.published / seconds;
  if (json) {
    const { published, interrupted, next } = outcome;
    const [amount, goOn] = feed.noun === "row" ? ["rows", "nextRow"] : ["messages", "next"];
    output.stdout(`${JSON.stringify({ file: feed.file, [amount]: published, seconds, rate, interrupted, [goOn]: next })}\n`);
  } else {
    const stopped = outcome.interrupted ? `, stopped; ${feed.beginFlag} ${outcome.next} goes on` : "";
    output.stdout(`${count(outcome.published)} ${feed.noun}s published in ${seconds.toFixed(1)} s (${count(rate)}/s)${stopped}\n`);
  }
  return outcome.interrupted ? EXIT_INTERRUPTED : 0;
}

function progressLine(feed: Feed, publisher: ReliablePublisher, startedAt: number): string {
  const seconds = (performance.now() - startedAt) / 1000;
  const share = feed.progress();
  const percent = share === undefined ? "" : `  ${Math.floor(share * 100)} % of the file`;
  const state = publisher.connected ? "" : "  waiting for the broker";
  return `  ${count(publisher.acknowledged)} ${feed.noun}s  ${count(publisher.acknowledged / seconds)}/s${percent}${state}`;
}

interface Progress {
  show(line: () => string): void;
  /** Text that removes the progress line, empty when there is none. */
  clear(): string;
  stop(): void;
}

function startProgress(output: Output): Progress {
  let timer: NodeJS.Timeout | undefined;
  const clear = (): string => (timer === undefined ? "" : clearLine);
  return {
    show: (line) => {
      if (output.tty && !output.json) timer = setInterval(() => output.stdout(`${clearLine}${line()}`), PROGRESS_MS);
    },
    clear,
    stop: () => {
      clearInterval(timer);
      output.stdout(clear());
      timer = undefined;
    },
  };
}

/** Reads everything, shows the first messages and publishes nothing. */
export async function dryRun(output: Output, feed: Feed): Promise<number> {
  const topics = new Set<string>();
  const first: { topic: string; payload: string }[] = [];
  let items = 0;
  let bytes = 0;
  for await (const item of feed.items()) {
    output.signal.throwIfAborted();
    item.check();
    const { message } = item;
    items++;
    bytes += Buffer.byteLength(message.payload);
    if (topics.size < DISTINCT_TOPICS_MAX) topics.add(message.topic);
    if (first.length < DRY_RUN_SHOWN) first.push({ topic: message.topic, payload: message.payload.toString() });
  }
  if (output.json) {
    output.stdout(`${JSON.stringify({ file: feed.file, [`${feed.noun}s`]: items, topics: topics.size, payloadBytes: bytes, first })}\n`);
    return 0;
  }
  for (const { topic, payload } of first) output.stdout(`${printable(`${topic} ${payload}`)}\n`);
  const more = topics.size === DISTINCT_TOPICS_MAX ? "at least " : "";
  const topicCount = topics.size === 1 ? "1 topic" : `${more}${count(topics.size)} topics`;
  output.stdout(`${count(items)} ${feed.noun}s to ${topicCount}, ${count(bytes)} bytes of payload; nothing was published\n`);
  return 0;
}
