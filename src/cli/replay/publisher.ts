import { createHash, randomBytes } from "node:crypto";
import { connect, type IClientOptions, type IClientPublishOptions, type MqttClient } from "mqtt";
import { backoffMs } from "../../core/clock.ts";
import { MillraceError, messageOf } from "../../core/errors.ts";
import type { MessageProperties } from "../../core/message.ts";
import type { Outgoing } from "./feed.ts";

const RECONNECT = { minMs: 100, maxMs: 5_000 };
const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 15;
const END_MS_MAX = 1_000;
/** How long a broker keeps the session of a publisher that never comes back. */
const SESSION_EXPIRY_S = 3_600;
/** CONNACK codes that a broker gives while it cannot, not because it will not: server unavailable, busy, shutting down, rate exceeded. */
const TRANSIENT_CODES: ReadonlySet<number> = new Set([3, 136, 137, 139, 151, 159]);
const SESSION_TAKEN_OVER = 142;

type Properties = NonNullable<IClientPublishOptions["properties"]>;

export interface PublisherOptions {
  /** `mqtt://HOST:PORT`, also mqtts, ws and wss. */
  readonly url: string;
  readonly clientId: string;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** Messages that are sent and not acknowledged. */
  readonly inFlightMax: number;
  /** How long to go on without a connection. */
  readonly patienceMs: number;
  /** What a message is called in an error. */
  readonly noun: "row" | "message";
  /** Told, in words, when the connection goes and comes. */
  readonly onNotice: (text: string) => void;
}

/**
 * Hands messages to an MQTT 5 broker in order and keeps each until the broker has acknowledged it, over as many connections as that takes.
 * With QoS 2 and a broker that keeps its sessions, each arrives exactly once even if the broker is killed in between.
 */
export class ReliablePublisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #client: MqttClient;
  /** Numbers of the messages that are not acknowledged yet, in order. */
  readonly #inFlight = new Set<number>();
  #inFlightMax: number;
  #attempt = 0;
  #connections = 0;
  #ready = false;
  #lastError: string | undefined;
  #failure: MillraceError | undefined;
  #patience: NodeJS.Timeout | undefined;
  #changed = Promise.withResolvers<void>();
  #acknowledged = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#inFlightMax = options.inFlightMax;
    this.#client = connect(options.url, clientOptions(options));
    this.#startPatience();
    this.#client.on("packetreceive", (packet) => {
      if (packet.cmd === "connack" && (packet.reasonCode ?? 0) === 0) this.#onConnected(packet.properties?.receiveMaximum);
    });
    // mqtt.js announces the connection only once everything unacknowledged has gone out again, so that order is kept.
    this.#client.on("connect", () => this.#onReady());
    this.#client.on("close", () => this.#onClose());
    this.#client.on("error", (error) => this.#onError(error));
    this.#client.on("disconnect", (packet) => {
      if (packet.reasonCode === SESSION_TAKEN_OVER) {
        this.#fail("BROKER_REFUSED", `another client connected to ${this.#where} with the client id "${options.clientId}"`);
      }
    });
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Number of the first message that is not acknowledged, undefined when all are. */
  get oldestInFlight(): number | undefined {
    return this.#inFlight.values().next().value;
  }

  get connected(): boolean {
    return this.#ready;
  }

  /**
   * Resolves once the message is on its way; waits while the connection is down or too much is unacknowledged.
   * @throws MillraceError BROKER_UNREACHABLE when patience ran out, BROKER_REFUSED when the broker said no to this or an earlier message.
   */
  async publish(number: number, message: Outgoing, signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#ready && this.#inFlight.size < this.#inFlightMax, signal);
    const { qos, retain, noun } = this.#options;
    this.#inFlight.add(number);
    const properties = message.properties === undefined ? {} : { properties: packetProperties(message.properties) };
    this.#client.publish(message.topic, message.payload, { qos, retain, ...properties }, (error) => {
      // A message that was refused stays, so that it is the one to go on with.
      if (error)
        return this.#fail("BROKER_REFUSED", `the broker did not take ${noun} ${number} for topic "${message.topic}": ${messageOf(error)}`);
      this.#inFlight.delete(number);
      this.#acknowledged++;
      this.#wake();
    });
  }

  /** Resolves when everything is acknowledged. Throws what `publish` throws. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#inFlight.size === 0, signal);
  }

  /** Leaves no session behind at the broker. What is unacknowledged is given up; `drain` first. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#patience);
    this.#failure ??= new MillraceError("BROKER_UNREACHABLE", "the publisher is closed");
    const polite = this.#ready && this.#inFlight.size === 0;
    // A connection that has just died would keep the polite end waiting.
    const impatient = setTimeout(() => this.#client.stream.destroy(), END_MS_MAX);
    await this.#client.endAsync(!polite, { properties: { sessionExpiryInterval: 0 } });
    clearTimeout(impatient);
  }

  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    if (this.#failure === undefined && !signal.aborted && condition()) return;
    const stop = (): void => this.#wake();
    signal.addEventListener("abort", stop);
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure;
        signal.throwIfAborted();
        if (condition()) return;
        await this.#changed.promise;
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  #onConnected(receiveMaximum: number | undefined): void {
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#lastError = undefined;
    this.#inFlightMax = Math.min(this.#options.inFlightMax, receiveMaximum ?? 65_535);
    // The first connection discards what an earlier run may have left in the session; those that follow resume it.
    this.#client.options.clean = false;
  }

  #onReady(): void {
    this.#ready = true;
    this.#connections++;
    if (this.#connections > 1 || this.#attempt > 0) this.#options.onNotice(`connected to ${this.#where}`);
    this.#attempt = 0;
    this.#client.options.reconnectPeriod = RECONNECT.minMs;
    this.#wake();
  }

  #onClose(): void {
    if (this.#failure !== undefined) return;
    if (this.#attempt === 0) {
      const what = this.#connections === 0 ? "no connection to" : "lost the connection to";
      const reason = this.#lastError === undefined ? "" : `: ${this.#lastError}`;
      this.#options.onNotice(`${what} ${this.#where}${reason}; trying again for ${Math.round(this.#options.patienceMs / 1000)} s`);
    }
    this.#ready = false;
    this.#attempt++;
    this.#client.options.reconnectPeriod = backoffMs(this.#attempt, RECONNECT);
    if (this.#patience === undefined) this.#startPatience();
  }

  #onError(error: Error): void {
    this.#lastError = messageOf(error) === "" && "code" in error ? String(error.code) : messageOf(error);
    const code = "code" in error && typeof error.code === "number" ? error.code : undefined;
    if (!this.#ready && code !== undefined && !TRANSIENT_CODES.has(code)) {
      this.#fail("BROKER_REFUSED", `${this.#where} does not accept the connection: ${this.#lastError}`);
    }
  }

  #startPatience(): void {
    this.#patience = setTimeout(() => {
      const reason = this.#lastError === undefined ? "" : ` (${this.#lastError})`;
      this.#fail("BROKER_UNREACHABLE", `no connection to ${this.#where} for ${this.#options.patienceMs / 1000} s${reason}`);
    }, this.#options.patienceMs);
  }

  #fail(code: "BROKER_UNREACHABLE" | "BROKER_REFUSED", message: string): void {
    this.#failure ??= new MillraceError(code, message);
    this.#wake();
  }

  /** The address without a password in it. */
  get #where(): string {
    return this.#options.url.replace(/\/\/[^@/]*@/, "//");
  }
}

function packetProperties({ contentType, responseTopic, correlationData, user }: MessageProperties): Properties {
  return {
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData, "base64") }),
    ...(user === undefined
      ? {}
      : { userProperties: Object.fromEntries(Object.entries(user).map(([name, value]) => [name, mutable(value)])) }),
  };
}

function mutable(value: string | readonly string[]): string | string[] {
  return typeof value === "string" ? value : [...value];
}

function clientOptions(options: PublisherOptions): IClientOptions {
  return {
    protocolVersion: 5,
    clientId: options.clientId,
    clean: true,
    properties: { sessionExpiryInterval: options.qos === 0 ? 0 : SESSION_EXPIRY_S },
    reconnectPeriod: RECONNECT.minMs,
    reconnectOnConnackError: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    keepalive: KEEPALIVE_S,
  };
}

/**
 * Names the file and topic, and the run: were two runs to share an id, a broker that remembers packet identifiers of the first, killed one
 * could take messages of the second for repetitions and drop them.
 */
export function defaultClientId(file: string, topic: string): string {
  const hash = createHash("sha256").update(`${file}\0${topic}`).digest("hex").slice(0, 8);
  return `replay-${hash}-${randomBytes(4).toString("hex")}`;
}
