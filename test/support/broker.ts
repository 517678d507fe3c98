import { once } from "node:events";
import { connect as connectSocket, type Socket } from "node:net";
import { connect, type IClientOptions, type MqttClient } from "mqtt";
import { generate, type Packet, parser } from "mqtt-packet";
import { accessOf } from "./access.ts";
import type { BrokerOptions } from "../../src/broker/broker-options.ts";
import { Broker } from "../../src/broker/broker.ts";
import type { Intake } from "../../src/broker/intake.ts";
import { silentLogger } from "../../src/core/log.ts";
import { decodeMessage, type Message } from "../../src/core/message.ts";

/** What a journal does for a broker, in memory; answers are held back while `holding`, and fail while `failing` is set. */
export class TestIntake implements Intake {
  readonly taken: Message[] = [];
  readonly held: (() => void)[] = [];
  holding = false;
  failing: Error | undefined;
  /** The ends of sessions that are not on disk yet, while `holdingClears` is set. */
  readonly heldClears: (() => void)[] = [];
  holdingClears = false;
  readonly #ids = new Set<string>();
  readonly #pending = new Set<string>();
  readonly #doubted = new Set<string>();
  readonly ledger = {
    has: (client: string, packetId: number): boolean => this.#ids.has(`${client} ${packetId}`),
    doubt: (client: string, packetId: number): void => void this.#doubted.add(`${client} ${packetId}`),
    release: async (client: string, packetId: number): Promise<void> => void this.#ids.delete(`${client} ${packetId}`),
    clear: async (client: string): Promise<void> => {
      for (const id of this.#pending) if (id.startsWith(`${client} `)) this.#pending.delete(id);
      if (this.holdingClears) await new Promise<void>((resolve) => this.heldClears.push(resolve));
      for (const ids of [this.#ids, this.#doubted]) for (const id of ids) if (id.startsWith(`${client} `)) ids.delete(id);
    },
  };

  get openIds(): readonly string[] {
    return [...this.#ids];
  }

  matches(topic: string): ReturnType<Intake["matches"]> {
    if (topic.startsWith("volatile/")) return "volatile";
    return topic.startsWith("in/") ? "durable" : "none";
  }

  append(entry: Parameters<Intake["append"]>[0], done: Parameters<Intake["append"]>[1]): void {
    const answer = (): void => {
      if (this.failing === undefined) this.taken.push(decodeMessage(entry.record));
      done(this.failing);
    };
    if (this.holding) this.held.push(answer);
    else setImmediate(answer);
  }

  appendOnce(client: string, packetId: number, entry: Parameters<Intake["append"]>[0], done: Parameters<Intake["append"]>[1]): void {
    const id = `${client} ${packetId}`;
    if (this.#ids.has(id)) return done(undefined, !this.#doubted.delete(id));
    this.#pending.add(id);
    this.append(entry, (error) => {
      if (this.#pending.delete(id) && error === undefined) this.#ids.add(id);
      done(error);
    });
  }

  /** Topic and text of what was taken. */
  get texts(): string[] {
    return this.taken.map(({ topic, payload }) => `${topic}=${Buffer.from(payload).toString()}`);
  }
}

/** What a gateway has without settings. */
export const BOUNDS = {
  sessions: { max: 10_000, ageSecondsMax: 0xff_ff_ff_ff },
  queues: { messagesMax: 100_000, bytesMax: 256 * 1024 ** 2, totalBytesMax: 512 * 1024 ** 2 },
  retained: { messagesMax: 100_000, bytesMax: 256 * 1024 ** 2 },
};

export async function startBroker(intake: Intake, folder: string, options: Partial<BrokerOptions> = {}): Promise<Broker> {
  const broker = await Broker.create(
    {
      gateway: "g",
      endpoint: { host: "127.0.0.1", port: 0 },
      location: `${folder}/sessions`,
      payloadBytesMax: 10_000,
      clientsMax: 100,
      inflightMax: 100,
      inflightBytesMax: 32 * 1024 ** 2,
      ...BOUNDS,
      durability: "fsync",
      access: options.access ?? accessOf(folder),
      ...options,
    },
    intake,
    silentLogger,
  );
  try {
    await broker.listen();
  } catch (error) {
    await broker.close();
    throw error;
  }
  return broker;
}

export interface TestClient extends AsyncDisposable {
  readonly mqtt: MqttClient;
  readonly heard: string[];
}

/** A client that keeps what it hears as `topic=text`. */
export async function connectClient(address: string, options: IClientOptions = {}): Promise<TestClient> {
  const heard: string[] = [];
  // Listens before it connects: what waits for the client may come in one chunk with the CONNACK.
  const mqtt = connect(address, { reconnectPeriod: 0, ...options });
  mqtt.on("message", (topic, payload) => heard.push(`${topic}=${payload.toString()}`));
  await new Promise<void>((resolve, reject) => {
    mqtt.once("connect", () => resolve());
    mqtt.once("error", reject);
    mqtt.once("close", () => reject(new Error("the connection was closed")));
  });
  return { mqtt, heard, [Symbol.asyncDispose]: () => mqtt.endAsync(true) };
}

/** A client that speaks in single packets, so that a test can send and leave out what a library would not. */
export class RawClient implements AsyncDisposable {
  readonly received: Packet[] = [];
  /** Everything that has come, as it was on the wire. */
  readonly chunks: Buffer[] = [];
  readonly socket: Socket;
  readonly #version: 4 | 5;
  readonly #ended: Promise<void>;
  closed = false;
  sessionPresent = false;
  connack: Packet | undefined;
  /** Called for every packet as it comes in. */
  onPacket: (packet: Packet) => void = () => undefined;

  private constructor(socket: Socket, version: 4 | 5) {
    this.socket = socket;
    this.#version = version;
    const packets = parser({ protocolVersion: version });
    packets.on("packet", (packet) => {
      this.received.push(packet);
      this.onPacket(packet);
    });
    socket.on("data", (chunk: Buffer) => {
      this.chunks.push(chunk);
      packets.parse(chunk);
    });
    socket.setMaxListeners(0); // Each wait listens.
    socket.on("error", () => undefined); // A broker that closes is what some tests wait for.
    this.#ended = new Promise((resolve) => {
      socket.on("close", () => {
        this.closed = true;
        resolve();
      });
    });
  }

  static async connect(
    address: string,
    options: {
      id: string;
      clean?: boolean;
      version?: 4 | 5;
      /** Seconds, of version 5. */
      expiry?: number;
      /** Further ones, of version 5. */
      properties?: { receiveMaximum?: number; maximumPacketSize?: number; topicAliasMaximum?: number; requestProblemInformation?: boolean };
      /** Seconds; 0 by default. */
      keepalive?: number;
      will?: { topic: string; payload: Buffer; qos: 0 | 1 | 2; retain: boolean; properties?: { willDelayInterval?: number } };
      username?: string;
      password?: Buffer;
    },
  ): Promise<RawClient> {
    const { hostname, port } = new URL(address);
    const { id, clean = true, version = 4, expiry = clean ? 0 : 1_000, properties = {}, keepalive = 0, will, username, password } = options;
    const socket = connectSocket({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, "connect");
    const client = new RawClient(socket, version);
    client.send({
      cmd: "connect",
      clientId: id,
      protocolId: "MQTT",
      protocolVersion: version,
      clean,
      keepalive,
      ...(version === 5 ? { properties: { ...properties, sessionExpiryInterval: expiry } } : {}),
      ...(will === undefined ? {} : { will }),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
    });
    const connack = await client.next("connack");
    client.connack = connack;
    client.sessionPresent = connack.cmd === "connack" && connack.sessionPresent;
    return client;
  }

  send(packet: Packet): void {
    this.socket.write(generate(packet, { protocolVersion: this.#version }));
  }

  publish(
    topic: string,
    text: string,
    more: { qos?: 0 | 1 | 2; messageId?: number; dup?: boolean; retain?: boolean; properties?: object } = {},
  ): void {
    this.send({ cmd: "publish", topic, payload: text, qos: 0, dup: false, retain: false, ...more });
  }

  /** The first packet of this kind, removed from what was received; waits for it. */
  async next(cmd: Packet["cmd"]): Promise<Packet> {
    for (;;) {
      const at = this.received.findIndex((packet) => packet.cmd === cmd);
      const [found] = at < 0 ? [] : this.received.splice(at, 1);
      if (found !== undefined) return found;
      if (this.closed) throw new Error(`the connection was closed while waiting for ${cmd}`);
      // A broker that is killed resets the connection; "closed" says so.
      await Promise.race([once(this.socket, "data"), once(this.socket, "close")]).catch(() => undefined);
    }
  }

  /** Everything that the broker had to say so far has arrived when it answers this. */
  async ping(): Promise<void> {
    this.send({ cmd: "pingreq" });
    await this.next("pingresp");
  }

  async ended(): Promise<void> {
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.ended();
  }
}
