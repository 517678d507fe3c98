import { createHash } from "node:crypto";
import { connect, connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import { PREFIX } from "./grammar.ts";

const TICK_MS = 50;
/** A broker that takes longer for an acknowledgement does not serve. */
const ACK_MS_MAX = 30_000;
const OUTSTANDING_MAX = 1_000;

const AWAY: IClientOptions = { clientId: "millrace-fuzz-away", clean: false, protocolVersion: 4, reconnectPeriod: 0 };

/** One message, so that it can be found again. */
export function digest(topic: string, payload: Buffer): string {
  return createHash("sha1").update(topic).update("\0").update(payload).digest("base64");
}

/** A well-behaved client that publishes and subscribes all the time with QoS 1, and beside it one that hears everything that is acknowledged to others. */
export class Witness implements AsyncDisposable {
  readonly #client: MqttClient;
  readonly #collector: MqttClient;
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Map<number, number>();
  readonly #missing = new Set<number>();
  /** Digests of what the collector was sent. */
  readonly heard = new Set<string>();
  readonly problems: string[] = [];
  acknowledged = 0;
  received = 0;
  ackMsMax = 0;
  #sent = 0;

  private constructor(client: MqttClient, collector: MqttClient) {
    this.#client = client;
    this.#collector = collector;
    client.on("message", (_topic, payload) => this.#take(Number(payload.toString())));
    collector.on("message", (topic, payload) => void this.heard.add(digest(topic, payload)));
    for (const [name, one] of Object.entries({ witness: client, collector })) {
      one.on("error", (error) => this.#complain(`the ${name} had an error: ${error.message}`));
      one.on("close", () => this.#complain(`the broker closed the connection of the ${name}`));
    }
    this.#timer = setInterval(() => this.#publish(), TICK_MS);
  }

  static async start(address: string): Promise<Witness> {
    const options: IClientOptions = { protocolVersion: 5, reconnectPeriod: 0, keepalive: 10 };
    const away = await connectAsync(address, AWAY);
    await away.subscribeAsync(`${PREFIX}/kept/#`, { qos: 1 });
    await away.endAsync();
    const client = await connectAsync(address, { ...options, clientId: "millrace-fuzz-witness" });
    const collector = await connectAsync(address, { ...options, clientId: "millrace-fuzz-collector" });
    await client.subscribeAsync("witness/messages", { qos: 1 });
    await collector.subscribeAsync(`${PREFIX}/#`, { qos: 1 });
    return new Witness(client, collector);
  }

  /** Hears what waits for the session whose client was away all the time. */
  static async back(address: string): Promise<{ readonly heard: ReadonlySet<string>; end(): Promise<void> }> {
    const heard = new Set<string>();
    // Listens before it connects: what waits may come in one chunk with the CONNACK.
    const client = connect(address, AWAY);
    client.on("message", (topic, payload) => void heard.add(digest(topic, payload)));
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
    });
    return { heard, end: () => client.endAsync(true) };
  }

  #publish(): void {
    if (!this.#client.connected || this.#open.size >= OUTSTANDING_MAX) return;
    const n = ++this.#sent;
    const at = performance.now();
    this.#open.set(n, at);
    this.#missing.add(n);
    this.#client.publish("witness/messages", String(n), { qos: 1 }, (error) => {
      this.#open.delete(n);
      if (error) return this.#complain(`message ${n} of the witness was not acknowledged: ${error.message}`);
      this.acknowledged++;
      this.ackMsMax = Math.max(this.ackMsMax, performance.now() - at);
    });
    const [oldest] = this.#open.values();
    if (oldest !== undefined && at - oldest > ACK_MS_MAX) this.#complain(`the witness got no acknowledgement within ${ACK_MS_MAX} ms`);
  }

  #take(n: number): void {
    if (this.#missing.delete(n)) this.received++;
  }

  #complain(what: string): void {
    if (this.problems.length < 10) this.problems.push(what);
  }

  /** Sends nothing more. */
  rest(): void {
    clearInterval(this.#timer);
  }

  /** Whether everything that it has sent was acknowledged and has arrived. */
  get isServed(): boolean {
    return this.#open.size === 0 && this.#missing.size === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    for (const client of [this.#client, this.#collector]) {
      client.removeAllListeners("close");
      await client.endAsync(true);
    }
  }
}
