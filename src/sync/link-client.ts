import { connect, type MqttClient } from "mqtt";
import { backoffMs, type Clock } from "../core/clock.ts";
import { MillraceError, messageOf } from "../core/errors.ts";
import { aborted } from "../core/lifecycle.ts";
import { type DownTopic, linkTopic, parseLinkTopic, type UpTopic } from "../core/link.ts";
import type { Logger } from "../core/log.ts";

const DOWN_TOPICS: readonly DownTopic[] = ["desired", "events/ack", "artifact/chunk"];
const CONNECT_TIMEOUT_MS = 10_000;
const KEEPALIVE_S = 15;
const BACKOFF = { minMs: 500, maxMs: 30_000 };
/** A connection that lasted this long was a good one: the next failure starts the back-off anew. */
const STABLE_MS = 5_000;

export interface LinkHandlers {
  connected(): void;
  disconnected(): void;
  message(name: string, payload: Uint8Array): void;
}

/** What the operator sees. `since` is when the present connection, or the present lack of one, began. */
export interface LinkStatus {
  readonly connected: boolean;
  readonly url: string;
  readonly since?: string;
  readonly error?: string;
}

/**
 * Keeps one outbound MQTT 5 connection to the control plane, for as long as it runs and however often it breaks. Each connection is a new
 * client with a clean session: what has to be sent again is decided by those who keep it, not by a session that outlived its meaning.
 */
export class LinkClient {
  readonly #gateway: string;
  readonly #url: string;
  readonly #handlers: LinkHandlers;
  readonly #deps: { readonly logger: Logger; readonly clock: Clock; readonly random: () => number };
  #client: MqttClient | undefined;
  #since: number | undefined;
  #error: string | undefined;

  constructor(to: { gateway: string; url: string }, handlers: LinkHandlers, deps: { logger: Logger; clock: Clock; random: () => number }) {
    this.#gateway = to.gateway;
    this.#url = to.url;
    this.#handlers = handlers;
    this.#deps = deps;
  }

  get status(): LinkStatus {
    return {
      connected: this.#client !== undefined,
      url: this.#url,
      ...(this.#since === undefined ? {} : { since: new Date(this.#since).toISOString() }),
      ...(this.#error === undefined ? {} : { error: this.#error }),
    };
  }

  /** Hands the payload to the connection there is; without one it is dropped, as everything on the link may be. */
  publish(name: UpTopic, payload: Uint8Array): void {
    this.#client?.publish(linkTopic(this.#gateway, name), Buffer.from(payload), { qos: 1 }, (error) => {
      if (error) this.#deps.logger.debug({ err: error, topic: name }, "not published on the link");
    });
  }

  /** Connects, and again whenever the connection breaks, until aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#deps;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const began = clock.elapsed();
      const error = await this.#session(signal);
      if (signal.aborted) return;
      if (clock.elapsed() - began > STABLE_MS) attempt = 1;
      const waitMs = backoffMs(attempt, BACKOFF, random);
      if (error !== this.#error) logger.warn({ url: this.#url, error }, "the link to the control plane is down; the gateway works on");
      this.#error = error;
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** One connection from begin to end. Answers why it ended. */
  async #session(signal: AbortSignal): Promise<string> {
    const over = new AbortController();
    let reason = "the connection was closed";
    let client: MqttClient;
    try {
      client = connect(this.#url, {
        protocolVersion: 5,
        clientId: this.#gateway,
        clean: true,
        reconnectPeriod: 0,
        connectTimeout: CONNECT_TIMEOUT_MS,
        keepalive: KEEPALIVE_S,
        resubscribe: false,
        queueQoSZero: false,
      });
    } catch (error) {
      return messageOf(error);
    }
    client.on("error", (error) => (reason = describe(error)));
    client.on("close", () => over.abort());
    client.on("message", (topic, payload) => {
      const parsed = parseLinkTopic(topic);
      if (parsed?.gateway === this.#gateway) this.#handlers.message(parsed.name, payload);
    });
    client.once(
      "connect",
      () =>
        void this.#subscribe(client).catch((error: unknown) => {
          reason = messageOf(error);
          client.end(true);
        }),
    );
    await aborted(AbortSignal.any([signal, over.signal]));
    await end(client, signal.aborted && !over.signal.aborted);
    this.#down(client);
    return reason;
  }

  async #subscribe(client: MqttClient): Promise<void> {
    await client.subscribeAsync(
      DOWN_TOPICS.map((name) => linkTopic(this.#gateway, name)),
      { qos: 1 },
    );
    this.#client = client;
    this.#error = undefined;
    this.#since = this.#deps.clock.now();
    this.#deps.logger.info({ url: this.#url }, "the link to the control plane is up");
    this.#handlers.connected();
  }

  #down(client: MqttClient): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#since = this.#deps.clock.now();
    this.#handlers.disconnected();
  }
}

/** With a DISCONNECT packet when the connection is alive and this side ends it. */
async function end(client: MqttClient, politely: boolean): Promise<void> {
  // Whatever the socket still reports is about a connection that nobody uses any more.
  client.on("error", () => undefined);
  await client.endAsync(!(politely && client.connected)).catch(() => undefined);
}

function describe(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join("; ");
  return error.message === ""
    ? new MillraceError("LINK_DOWN", "the control plane does not answer", { cause: error }).message
    : error.message;
}
