import type { Writable } from "node:stream";

/** What may be left out of a packet that is too large: what only tells a person more (MQTT 5, 3.2.2.3.9, 3.2.2.3.10 and their like). */
const OPTIONAL = ["reasonString", "userProperties"];

interface Limited {
  readonly cmd: string;
  readonly properties?: unknown;
}

/**
 * Keeps what is not a message within the Maximum Packet Size of its client: without its reason string and its user properties [MQTT-3.2.2-19],
 * [MQTT-3.14.2-3], or not at all [MQTT-3.1.2-24]. A client that cannot be answered is disconnected. False when the packet is not to be sent.
 */
export function fitsClient<T extends Limited>(packet: T, stream: object, sizeOf: (packet: T) => number): boolean {
  const client: unknown = Reflect.get(stream, "client");
  if (typeof client !== "object" || client === null) return true;
  const max: unknown = Reflect.get(client, "maximumPacketSize");
  if (typeof max !== "number" || sizeOf(packet) <= max) return true;
  const { properties } = packet;
  if (typeof properties === "object" && properties !== null) {
    for (const name of OPTIONAL) Reflect.deleteProperty(properties, name);
    if (sizeOf(packet) <= max) return true;
  }
  (stream as Writable).destroy();
  return false;
}
