import { setTimeout as sleep } from "node:timers/promises";
import type { Latency, LoadOptions, LoadResult } from "./protocol.ts";
import { type Flow, Publisher } from "./publisher.ts";
import { SlowSubscriber } from "./slow-subscriber.ts";
import { Subscriber } from "./subscriber.ts";

/** After this long without an arrival what is still missing will not come. */
const DRAIN_QUIET_MS = 5_000;

/** One run: connect, warm up, measure, stop, wait for the rest. `tell` hears when the measured time begins and ends. */
export async function generate(options: LoadOptions, tell: (type: "begin" | "end") => void): Promise<LoadResult> {
  const flow: Flow = { copies: options.subscribers, sent: 0, received: 0, stopped: false };
  const stamped = options.rate !== undefined;
  const publishers = Array.from({ length: options.publishers }, (_, index) => new Publisher(publisherOptions(options, index), flow));
  const pump = stamped ? paced(options, publishers) : (): void => publishers.forEach((publisher) => publisher.pump(Infinity));
  const subscribers = Array.from({ length: options.subscribers }, (_, index) => new Subscriber(subscriberOptions(options, index), flow));
  await Promise.all(subscribers.map((subscriber) => subscriber.open()));
  const slow = options.slowReads === undefined ? undefined : await SlowSubscriber.open(subscriberOptions(options, -1), options.slowReads);
  await Promise.all(publishers.map((publisher) => publisher.open()));

  const timer = setInterval(() => {
    for (const subscriber of subscribers) subscriber.acknowledge();
    pump();
  }, 1);
  await sleep(options.warmUpMs);
  for (const subscriber of subscribers) subscriber.takeLatencies();
  const begin = { at: performance.now(), received: flow.received };
  tell("begin");
  await sleep(options.measureMs);
  const end = { at: performance.now(), received: flow.received };
  tell("end");
  const latencies = subscribers.flatMap((subscriber) => subscriber.takeLatencies());
  flow.stopped = true;
  await drained(flow, publishers);
  clearInterval(timer);
  slow?.close();
  for (const connection of [...publishers, ...subscribers]) connection.close();
  return {
    received: end.received - begin.received,
    seconds: (end.at - begin.at) / 1_000,
    missing: flow.sent * flow.copies - flow.received,
    ...(stamped && latencies.length > 0 ? { latency: percentiles(latencies) } : {}),
  };
}

function publisherOptions(options: LoadOptions, index: number): ConstructorParameters<typeof Publisher>[0] {
  const { port, window, outstanding, rate, payloadBytes, traced, qos } = options;
  const topics = Array.from({ length: options.topics }, (_, topic) => `${options.prefix}/sensor-${String(topic).padStart(4, "0")}`);
  const mine = topics.filter((_, topic) => topic % options.publishers === index % options.topics);
  return {
    port,
    clientId: `load-pub-${process.pid}-${index}`,
    topics: mine,
    window,
    outstanding,
    qos,
    payloadBytes,
    traced,
    paced: rate !== undefined,
  };
}

function subscriberOptions({ port, subscribe, rate, qos }: LoadOptions, index: number): ConstructorParameters<typeof Subscriber>[0] {
  return { port, clientId: `load-sub-${process.pid}-${index}`, filter: subscribe, stamped: rate !== undefined, qos };
}

/** Sends what the clock says is due, by turns. A late tick catches up, so that a stall of the path cannot lower the rate. */
function paced(options: LoadOptions, publishers: readonly Publisher[]): () => void {
  const perMs = (options.rate ?? 0) / 1_000;
  let startedAt: number | undefined;
  let sent = 0;
  return () => {
    startedAt ??= performance.now();
    const due = Math.floor((performance.now() - startedAt) * perMs);
    while (sent < due) {
      const publisher = publishers[sent % publishers.length];
      if (publisher === undefined || publisher.pump(1) === 0) break;
      sent++;
    }
  };
}

async function drained(flow: Flow, publishers: readonly Publisher[]): Promise<void> {
  let seen = flow.received;
  let quietSince = performance.now();
  while (flow.received < flow.sent * flow.copies || publishers.some(({ inFlight }) => inFlight > 0)) {
    await sleep(5);
    if (flow.received !== seen) quietSince = performance.now();
    seen = flow.received;
    if (performance.now() - quietSince > DRAIN_QUIET_MS) return;
  }
}

export function percentiles(latenciesMs: readonly number[]): Latency {
  const sorted = Float64Array.from(latenciesMs).toSorted();
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: at(1) };
}
