import type { PublishPacket } from "aedes";
import { locateMessage, type Message, type MessageProperties } from "../core/message.ts";
import { propertyBytes } from "../core/message-properties.ts";
import type { TopicTexts } from "./topic-texts.ts";

const ORIGIN = Symbol("origin");

/** A PUBLISH that the journal recognized as one it already has carries this mark from the check to the protocol engine. */
export const DUPLICATE = Symbol("duplicate");

/** Notes who published a packet, for subscriptions that leave out what is their own client's. */
export function setOrigin(packet: object, clientId: string): void {
  Object.defineProperty(packet, ORIGIN, { value: clientId });
}

export function originOf(packet: object): string | undefined {
  return Reflect.get(packet, ORIGIN) as string | undefined;
}

/**
 * Takes off what is not part of a message. An alias is its connection's; the engine leaves its name without a value, which a stored packet must not have, as it
 * could not be sent. How long a will waits is the broker's to know (MQTT 5, 3.1.3.2.2), and no property of a PUBLISH.
 */
export function dropForeign(packet: PublishPacket): void {
  const { properties: all } = packet;
  if (all === undefined || !("topicAlias" in all || "willDelayInterval" in all)) return;
  const { topicAlias: _, willDelayInterval: __, ...properties } = all as typeof all & { willDelayInterval?: unknown };
  if (Object.keys(properties).length > 0) packet.properties = properties;
  else delete packet.properties;
}

/** What arrived, as a message. `source` is the client's id. */
export function messageOfPacket(source: string, packet: PublishPacket): Message {
  const { topic, qos, retain } = packet;
  const payload = typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
  const properties = packet.properties === undefined ? undefined : propertiesOf(packet.properties);
  return { topic, payload, qos, retain, source, time: Date.now(), hops: 0, ...(properties === undefined ? {} : { properties }) };
}

/** What a function published, as a packet. The payload is a view on the record. */
export function packetOfRecord(record: Uint8Array, texts: TopicTexts): PublishPacket {
  const bytes = Buffer.isBuffer(record) ? record : Buffer.from(record.buffer, record.byteOffset, record.byteLength);
  const { topicAt, topicEnd, payloadAt, qos, retain } = locateMessage(bytes);
  const packet: PublishPacket = {
    cmd: "publish",
    topic: texts.at(bytes, topicAt, topicEnd),
    payload: bytes.subarray(payloadAt),
    qos,
    retain,
    dup: false,
  };
  const properties = propertyBytes(bytes);
  if (properties !== undefined) packet.properties = packetProperties(JSON.parse(properties.toString()) as MessageProperties);
  return packet;
}

/** The reverse of `propertiesOf`. */
function packetProperties({ user, correlationData, ...rest }: MessageProperties): NonNullable<PublishPacket["properties"]> {
  return {
    ...rest,
    ...(correlationData === undefined ? {} : { correlationData: Buffer.from(correlationData, "base64") }),
    ...(user === undefined
      ? {}
      : {
          userProperties: Object.fromEntries(
            Object.entries(user).map(([name, value]) => [name, typeof value === "string" ? value : [...value]]),
          ),
        }),
  };
}

function propertiesOf(from: NonNullable<PublishPacket["properties"]>): MessageProperties | undefined {
  const { contentType, responseTopic, correlationData, userProperties } = from;
  if (contentType === undefined && responseTopic === undefined && correlationData === undefined && userProperties === undefined)
    return undefined;
  return {
    ...(contentType === undefined ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData: correlationData.toString("base64") }),
    ...(userProperties === undefined ? {} : { user: { ...userProperties } }),
  };
}
