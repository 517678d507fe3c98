import { Socket } from "node:net";
import { connectAsync, type MqttClient } from "mqtt";
import { z } from "zod";
import { functionOf } from "../support/functions.ts";
import { type HostileSite, until } from "./site.ts";
import { deployable } from "./snippet.ts";

const NAME = "neighbour";
/** Messages a second. */
export const RATE = 500;
const KEYS = 8;
const TICK_MS = 2;
/** Messages without an answer; a gateway that answers none is not sent any more. */
const OUTSTANDING_MAX = 5_000;
/** What has not come by then will not come. */
const ANSWER_MS_MAX = 30_000;

const answerSchema = z.object({ n: z.int(), count: z.int() });

/** Answers each message with its number and with how many of its key it has handled; a single attempt, so that nobody else's fault is forgiven. */
const FUNCTION = functionOf({
  name: NAME,
  concurrency: 2,
  triggers: ["neighbour/+k"],
  key: "k",
  retry: { attempts: 1 },
  handler: `const count = ((await ctx.state.get('count')) ?? 0) + 1;
    ctx.state.set('count', count);
    ctx.publish('answer/' + event.params.k, { n: event.data.n, count });`,
});

/** Milliseconds; percentiles of the time from publish to answer. */
export interface Pace {
  readonly samples: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** The longest time that the broker took to acknowledge. */
  readonly ackMax: number;
}

interface Sent {
  readonly at: number;
  readonly watch: Watch | undefined;
}

/** Times of the messages that were sent while it was open. */
class Watch {
  readonly latencies: number[] = [];
  ackMax = 0;
  sent = 0;

  pace(): Pace {
    const sorted = this.latencies.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
    return { samples: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1), ackMax: this.ackMax };
  }
}

/** A well-behaved function beside hostile ones, and somebody who uses it all the time and writes down what goes wrong. */
export class Neighbour implements AsyncDisposable {
  readonly #site: HostileSite;
  readonly #client: MqttClient;
  readonly #timer: NodeJS.Timeout;
  readonly #startedAt = performance.now();
  readonly #open = new Map<string, Sent>();
  readonly #numbers = new Map<string, number>();
  #wrong: string[] = [];
  #sent = 0;
  #watch: Watch | undefined;

  private constructor(site: HostileSite, client: MqttClient) {
    this.#site = site;
    this.#client = client;
    client.on("message", (topic, payload) => this.#answered(topic.slice("answer/".length), payload.toString()));
    client.on("error", () => undefined); // "close" follows.
    client.on("close", () => this.#complain("the broker has closed the connection of the neighbour's device"));
    this.#timer = setInterval(() => this.#send(), TICK_MS);
  }

  static async start(site: HostileSite): Promise<Neighbour> {
    const { state, error } = await site.deploy(deployable(FUNCTION.bundle));
    if (state !== "active") throw new Error(`the neighbour does not run: ${error}`);
    const client = await connectAsync(site.mqtt, { protocolVersion: 5, clientId: "device", reconnectPeriod: 0 });
    // The library leaves Nagle's algorithm on, and then the acknowledgements of this side are what is measured: 23 ms for half of the messages.
    if (!(client.stream instanceof Socket)) throw new Error("a connection to a broker on this machine is a socket");
    client.stream.setNoDelay(true);
    await client.subscribeAsync("answer/+", { qos: 1 });
    return new Neighbour(site, client);
  }

  /** Begins to take times. */
  watch(): void {
    this.#watch = new Watch();
  }

  /** Resolves when so many messages have been sent since `watch`. */
  async watched(samples: number): Promise<void> {
    const watch = this.#watch;
    await until(
      async () => ((watch?.sent ?? 0) >= samples ? true : undefined),
      `${samples} messages are sent`,
      10_000 + (2_000 * samples) / RATE,
    );
  }

  /** Ends the watch, waits for the answers to all that was sent so far, and gives back what the times were. */
  async rest(): Promise<Pace> {
    const watch = this.#watch ?? new Watch();
    this.#watch = undefined;
    const waiting = [...this.#open.keys()];
    const open = (): number => waiting.filter((id) => this.#open.has(id)).length;
    await until(async () => (open() === 0 || this.#client.disconnected ? true : undefined), "answers", ANSWER_MS_MAX).catch(
      () => undefined,
    ); // Said in the next line.
    if (open() > 0)
      this.#complain(`${open()} messages of the neighbour were never answered, such as ${waiting.find((id) => this.#open.has(id))}`);
    for (const id of waiting) this.#open.delete(id);
    return watch.pace();
  }

  /** What went wrong since the last time. */
  async complaints(): Promise<string[]> {
    const stats = await this.#site.function(NAME);
    if (stats === undefined || stats.state !== "active") this.#complain("the neighbour does not run any more");
    const { letters, text } = await this.#site.told(NAME);
    if (Object.keys(letters).length > 0) this.#complain(`messages of the neighbour were given up: ${JSON.stringify(letters)}, ${text}`);
    const wrong = this.#wrong;
    this.#wrong = [];
    return wrong;
  }

  #complain(what: string): void {
    if (this.#wrong.length < 10) this.#wrong.push(what);
  }

  #send(): void {
    const due = Math.floor(((performance.now() - this.#startedAt) * RATE) / 1_000);
    for (; this.#sent < due; this.#sent++) {
      if (this.#open.size < OUTSTANDING_MAX && this.#client.connected) this.#publish(`k${this.#sent % KEYS}`);
    }
  }

  #publish(key: string): void {
    const n = (this.#numbers.get(key) ?? 0) + 1;
    this.#numbers.set(key, n);
    const at = performance.now();
    const watch = this.#watch;
    if (watch !== undefined) watch.sent++;
    this.#open.set(`${key}:${n}`, { at, watch });
    this.#client.publish(`neighbour/${key}`, JSON.stringify({ n }), { qos: 1 }, (error) => {
      if (error) this.#complain(`a message of the neighbour was not acknowledged: ${error.message}`);
      else if (watch !== undefined) watch.ackMax = Math.max(watch.ackMax, performance.now() - at);
    });
  }

  #answered(key: string, text: string): void {
    const { n, count } = answerSchema.parse(JSON.parse(text));
    // With every message handled once and in order, the n-th of a key is the one that makes its count n.
    if (count !== n) this.#complain(`message ${key}:${n} of the neighbour was handled as its ${count}th`);
    const id = `${key}:${n}`;
    const sent = this.#open.get(id);
    this.#open.delete(id);
    sent?.watch?.latencies.push(performance.now() - sent.at);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#client.removeAllListeners("close");
    await this.#client.endAsync(true);
  }
}
