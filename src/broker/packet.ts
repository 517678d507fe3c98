import type { PublishPacket } from "aedes";
import type { Message, MessageProperties } from "../core/message.ts";

/** What arrived, as a message. `source` is the client's id. */
export function messageOfPacket(source: string, packet: PublishPacket): Message {
  const { topic, qos, retain } = packet;
  const payload = typeof packet.payload === "string" ? Buffer.from(packet.payload) : packet.payload;
  const properties = packet.properties === undefined ? undefined : propertiesOf(packet.properties);
  return { topic, payload, qos, retain, source, time: Date.now(), hops: 0, ...(properties === undefined ? {} : { properties }) };
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
