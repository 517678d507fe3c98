import { createServer, type Server, type Socket } from "node:net";
import { Aedes, type AedesOptions } from "aedes";
import { GATEWAY_ID, linkTopic, parseLinkTopic, type UpTopic } from "../core/link.ts";
import { once } from "../core/lifecycle.ts";
import type { Logger } from "../core/log.ts";
import { listen } from "./listen.ts";
import type { Link } from "./link.ts";

/** Above the largest batch that a gateway sends: one event of 2 MB with its envelope. */
const PACKET_BYTES_MAX = 4 * 1024 * 1024;
const UP_TOPICS: readonly UpTopic[] = ["hello", "reported", "events", "artifact/get"];
/** How long a gateway may leave its socket full before it is disconnected. */
const DRAIN_MS = 15_000;

const OPTIONS: AedesOptions = {
  // No limit of its own: what is on its way to one gateway is bounded by what that gateway asked for, and one that does not
  // read must not take the places of the others.
  concurrency: 0,
  connectTimeout: 10_000,
  drainTimeout: DRAIN_MS,
  maximumPacketSize: PACKET_BYTES_MAX,
  pendingSessionsLimit: 1,
  maxTopicLevels: 8,
};

/** An MQTT 5 broker in this process that carries the link and nothing else: a client is a gateway, and only sees and writes its own topics. */
export async function openEmbeddedLink(at: { host: string; port: number }, logger: Logger): Promise<Link> {
  const broker = await Aedes.createBroker({ ...OPTIONS, preConnect, authorizePublish, authorizeSubscribe });
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.setNoDelay(true);
    broker.handle(socket);
  });
  broker.on("clientError", (client, error) => logger.debug({ gateway: client.id, err: error }, "link client failed"));
  broker.on("connectionError", (_client, error) => logger.debug({ err: error }, "link connection refused"));
  try {
    const port = await listen(server, at);
    return new EmbeddedLink({ broker, server, sockets }, `mqtt://${at.host}:${port}`, logger);
  } catch (error) {
    await new Promise<void>((resolve) => broker.close(resolve));
    throw error;
  }
}

class EmbeddedLink implements Link {
  readonly address: string;
  readonly #broker: Aedes;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #logger: Logger;

  constructor(parts: { broker: Aedes; server: Server; sockets: ReadonlySet<Socket> }, address: string, logger: Logger) {
    this.#broker = parts.broker;
    this.#server = parts.server;
    this.#sockets = parts.sockets;
    this.address = address;
    this.#logger = logger;
  }

  on(name: UpTopic, handler: (gateway: string, payload: Uint8Array) => void): void {
    const deliver: Parameters<Aedes["subscribe"]>[1] = (packet, done) => {
      const gateway = parseLinkTopic(packet.topic)?.gateway;
      if (gateway !== undefined) handler(gateway, Buffer.from(packet.payload));
      done();
    };
    this.#broker.subscribe(linkTopic("+", name), deliver, () => undefined);
  }

  onPresence(handler: (gateway: string, connected: boolean) => void): void {
    this.#broker.on("clientReady", (client) => handler(client.id, true));
    this.#broker.on("clientDisconnect", (client) => handler(client.id, false));
  }

  publish(gateway: string, name: Parameters<Link["publish"]>[1], payload: Uint8Array): void {
    const packet = {
      cmd: "publish",
      topic: linkTopic(gateway, name),
      payload: Buffer.from(payload),
      qos: 1,
      retain: false,
      dup: false,
    } as const;
    this.#broker.publish(packet, (error) => {
      if (error) this.#logger.warn({ gateway, topic: name, err: error }, "not published on the link");
    });
  }

  readonly close = once(async () => {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await new Promise<void>((resolve) => this.#broker.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  });

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The broker keeps no sessions: a gateway that was away says hello and asks again, so queued messages would only be old ones. */
const preConnect: NonNullable<AedesOptions["preConnect"]> = (_client, packet, done) => {
  if (!GATEWAY_ID.test(packet.clientId)) done(new Error(`"${packet.clientId}" is not a gateway id`), false);
  else if (packet.protocolVersion !== 5) done(new Error("the link speaks MQTT 5"), false);
  else if (packet.clean !== true || (packet.properties?.sessionExpiryInterval ?? 0) > 0)
    done(new Error("the link keeps no sessions"), false);
  else done(null, true);
};

const authorizePublish: NonNullable<AedesOptions["authorizePublish"]> = (client, packet, done) => {
  const allowed = client !== null && !packet.retain && UP_TOPICS.some((name) => packet.topic === linkTopic(client.id, name));
  done(allowed ? null : new Error(`client "${client?.id}" may not publish to "${packet.topic}"`));
};

const authorizeSubscribe: NonNullable<AedesOptions["authorizeSubscribe"]> = (client, subscription, done) => {
  done(null, subscription.topic.startsWith(linkTopic(client.id, "desired").slice(0, -"desired".length)) ? subscription : null);
};
