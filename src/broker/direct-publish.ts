import type { Client, PublishPacket } from "aedes";
import { sendPacket } from "./encode.ts";
import { asError } from "./copies.ts";
import { REASON } from "./reasons.ts";

type Done = (error?: Error) => void;

/** What is used of the protocol engine's client beside its public members. */
interface PublishingClient extends Client {
  readonly _wireVersion: number | null;
  /** Only of a client that has said how long it may be silent. */
  readonly _keepaliveTimer: NodeJS.Timeout | null;
  readonly _requestProblemInformation: boolean;
}

/** What is used of the engine. */
interface PublishEngine {
  authorizePublish(client: Client, packet: PublishPacket, callback: (error?: Error | null) => void): void;
  publish(packet: PublishPacket, client: Client, done: Done): void;
  emit(event: "clientError", client: Client, error: Error): boolean;
}

/** Whether a PUBLISH is one that `publishDirectly` takes: what sensors send all the time. */
export function isDirect({
  qos,
  topic,
  properties,
}: {
  readonly qos?: number;
  readonly topic?: unknown;
  readonly properties?: unknown;
}): boolean {
  return qos !== 2 && properties === undefined && typeof topic === "string" && topic !== "";
}

/**
 * Handles a PUBLISH of QoS 0 or 1 as the engine does (aedes, lib/handlers/publish.js), in one step: the engine looks once more at what the decoder has
 * checked, makes a series of closures for each packet and waits a turn between the PUBACK and the subscribers. What comes here must not overtake what the
 * engine is still busy with.
 */
export function publishDirectly(engine: PublishEngine, from: Client, packet: PublishPacket, done: Done): void {
  const client = from as PublishingClient;
  const { _keepaliveTimer: keepAlive } = client;
  keepAlive?.refresh();
  engine.authorizePublish(client, packet, (error) => {
    if (error) return refuse(engine, client, { packet, error, done });
    // One of QoS 0 goes no further, and nobody hears of it.
    const { _notAuthorized: isRefused } = packet as { readonly _notAuthorized?: boolean };
    if (isRefused === true) return done();
    if (packet.qos === 1) {
      const problem = acknowledge(client, { cmd: "puback", messageId: packet.messageId });
      if (problem !== undefined) return done(problem);
    }
    engine.publish(packet, client, done);
  });
}

/** In version 5 the client is told why, and goes on. */
function refuse(engine: PublishEngine, client: PublishingClient, of: { packet: PublishPacket; error: Error; done: Done }): void {
  const { packet, error, done } = of;
  const { _requestProblemInformation: isAsked } = client;
  if (client.version !== 5) return done(error);
  engine.emit("clientError", client, error);
  if (packet.qos !== 1) return done();
  const properties = isAsked && error.message !== "" ? { properties: { reasonString: error.message } } : {};
  acknowledge(client, { cmd: "puback", messageId: packet.messageId, reasonCode: REASON.notAuthorized, ...properties });
  done();
}

function acknowledge(client: PublishingClient, packet: Parameters<typeof sendPacket>[0]): Error | undefined {
  const { connecting, connected, conn, _wireVersion: version } = client;
  if (!connecting && !connected) return new Error("connection closed");
  try {
    sendPacket(packet, conn, version ?? 4);
    return undefined;
  } catch (error) {
    return asError(error);
  }
}
