import { setTimeout as sleep } from "node:timers/promises";
import { connect, type MqttClient } from "mqtt";
import { aborted } from "../../src/core/lifecycle.ts";
import type { KeyLedger } from "./ledger.ts";

/** Unacknowledged messages of one key. */
const WINDOW = 3;

export interface PublisherOptions {
  readonly port: number;
  readonly name: string;
  readonly keys: readonly KeyLedger[];
  /** Of each key. */
  readonly messagesPerSecond: number;
}

/** Sends the messages of some keys, each with its number, until it is told to stop. */
export interface Publisher extends AsyncDisposable {
  /** Resolves when nothing more is sent, and every message that will ever be acknowledged is. */
  run(stop: AbortSignal): Promise<void>;
}

const ignore = (): void => undefined;

/**
 * QoS 2 in one session that outlives every connection: the library resends, with the same packet ids. A message that it gives up because it
 * was about to be sent when the connection broke is not acknowledged, and its number is not used again.
 */
export class ExactPublisher implements Publisher {
  readonly #options: PublisherOptions;
  readonly #client: MqttClient;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#client = connect({
      host: "127.0.0.1",
      port: options.port,
      clientId: options.name,
      clean: false,
      protocolVersion: 5,
      properties: { sessionExpiryInterval: 86_400 },
      reconnectPeriod: 50,
      connectTimeout: 5_000,
    });
    this.#client.on("error", ignore); // The broker is killed over and over.
  }

  async run(stop: AbortSignal): Promise<void> {
    const { keys, messagesPerSecond } = this.#options;
    await Promise.all(
      keys.flatMap((key) => Array.from({ length: WINDOW }, () => this.#send(key, (WINDOW * 1_000) / messagesPerSecond, stop))),
    );
  }

  async #send(key: KeyLedger, everyMs: number, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const n = key.next();
      const sent = this.#client.publishAsync(key.topic, JSON.stringify({ n }), { qos: 2 });
      await sent.then(() => key.acknowledged.add(n), ignore);
      await sleep(everyMs, undefined, { signal: stop }).catch(ignore);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}

/**
 * QoS 1 from a device without memory: each connection is a new session, and whatever was not acknowledged on the one before is published
 * anew, with another packet id. Only the idempotency key in the payload says that it is the same.
 */
export class ForgetfulPublisher implements Publisher {
  readonly #options: PublisherOptions;
  readonly #open = new Map<KeyLedger, number[]>();
  #client: MqttClient | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    for (const key of options.keys) this.#open.set(key, []);
  }

  async run(stop: AbortSignal): Promise<void> {
    const done = (): boolean => stop.aborted && [...this.#open.values()].every((numbers) => numbers.length === 0);
    while (!done()) await this.#session(stop, done);
  }

  async #session(stop: AbortSignal, done: () => boolean): Promise<void> {
    const { port, name, keys, messagesPerSecond } = this.#options;
    const client = connect({ host: "127.0.0.1", port, clientId: name, clean: true, reconnectPeriod: 0, connectTimeout: 2_000 });
    this.#client = client;
    client.on("error", ignore); // "close" follows.
    const over = new AbortController();
    client.on("close", () => over.abort());
    const connected = new Promise<boolean>((resolve) => client.once("connect", () => resolve(true)));
    if (await Promise.race([connected, aborted(over.signal).then(() => false)])) {
      for (const key of keys) for (const n of this.#open.get(key) ?? []) this.#publish(client, key, n);
      while (!over.signal.aborted && !done()) {
        for (const key of stop.aborted ? [] : keys) this.#fill(client, key);
        await sleep(1_000 / messagesPerSecond, undefined, { signal: over.signal }).catch(ignore);
      }
    }
    await client.endAsync(true);
    await sleep(50);
  }

  /** One more message of the key, if its window has room. */
  #fill(client: MqttClient, key: KeyLedger): void {
    const open = this.#open.get(key);
    if (open === undefined || open.length >= WINDOW) return;
    const n = key.next();
    open.push(n);
    this.#publish(client, key, n);
  }

  /** Without an acknowledgement the number stays open, and the next session publishes it anew. */
  #publish(client: MqttClient, key: KeyLedger, n: number): void {
    client.publishAsync(key.topic, JSON.stringify({ n, id: `${key.key}:${n}` }), { qos: 1 }).then(() => this.#acknowledged(key, n), ignore);
  }

  #acknowledged(key: KeyLedger, n: number): void {
    key.acknowledged.add(n);
    const open = this.#open.get(key) ?? [];
    this.#open.set(
      key,
      open.filter((other) => other !== n),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.endAsync(true);
  }
}

/** QoS 0: a message is sent once, if there is a connection at all, and nobody says what has become of it. */
export class CarelessPublisher implements Publisher {
  readonly #options: PublisherOptions;
  readonly #client: MqttClient;

  constructor(options: PublisherOptions) {
    this.#options = options;
    const { port, name } = options;
    this.#client = connect({
      host: "127.0.0.1",
      port,
      clientId: name,
      clean: true,
      queueQoSZero: false,
      reconnectPeriod: 50,
      connectTimeout: 2_000,
    });
    this.#client.on("error", ignore); // The broker is killed over and over.
  }

  async run(stop: AbortSignal): Promise<void> {
    const { keys, messagesPerSecond } = this.#options;
    while (!stop.aborted) {
      for (const key of this.#client.connected ? keys : []) {
        this.#client.publishAsync(key.topic, JSON.stringify({ n: key.next() }), { qos: 0 }).catch(ignore);
      }
      await sleep(1_000 / messagesPerSecond, undefined, { signal: stop }).catch(ignore);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.endAsync(true);
  }
}
