import { createRequire } from "node:module";
import type { Writable } from "node:stream";
import { amendConnack } from "./connack.ts";
import { type Outgoing, outgoingOf } from "./outgoing.ts";
import { fitsClient } from "./packet-limit.ts";
import type { Aliased } from "./topic-aliases.ts";
import { amendPubcomp } from "./unknown-ids.ts";
import { encodeInOrder } from "./user-properties.ts";

/** The identifier of the property (MQTT 5, 3.3.2.3.4). */
const TOPIC_ALIAS = 0x23;

export type Packet = PublishFields & {
  readonly cmd: string;
  reasonCode?: unknown;
  readonly returnCode?: number;
  sessionPresent?: boolean;
};

interface PublishFields {
  readonly topic?: unknown;
  readonly payload?: unknown;
  readonly qos?: number;
  readonly retain?: boolean;
  readonly dup?: boolean;
  readonly messageId?: unknown;
  readonly properties?: unknown;
}

type WriteToStream = (packet: Packet, stream: object, options?: { readonly protocolVersion?: number }) => boolean;

/** The one that the protocol engine uses. */
const library = createRequire(import.meta.resolve("aedes"))("mqtt-packet") as {
  writeToStream: WriteToStream & { short?: true };
  generate(packet: Packet, options: { readonly protocolVersion: number }): Buffer;
};

const VERSIONS = new Map([3, 4, 5].map((protocolVersion) => [protocolVersion, { protocolVersion }]));

/** A remaining length that needs more bytes than this has another encoder (MQTT 5, 1.5.5: seven bits in a byte). */
const SHORT_BYTES_MAX = 16_383;

/**
 * Makes the protocol engine lay out the two packets that a broker sends all the time, PUBLISH and PUBACK without properties, in one step; every
 * other goes through the library's encoder as before. The library writes each field of a packet on its own, and prepares texts for a
 * debug log that is off.
 */
export function installPacketEncoder(): void {
  const { writeToStream } = library;
  if (writeToStream.short === true) return;
  const short: WriteToStream & { short?: true } = (packet, stream, options) => {
    const outgoing = outgoingOf(stream);
    if (outgoing !== undefined) {
      const version = options?.protocolVersion ?? 4;
      if (packet.cmd === "publish" && encodePublish(packet, version, outgoing)) return outgoing.written();
      if (packet.cmd === "puback" && puback(packet, version, outgoing)) {
        outgoing.written();
        return true; // The engine would publish the message only after a drain, and not at all when there is none.
      }
    }
    const inOrder = packet.cmd === "publish" && options?.protocolVersion === 5 ? encodeInOrder(packet, generate5) : undefined;
    if (inOrder !== undefined) return (stream as Writable).write(inOrder);
    if (packet.cmd === "connack") amendConnack(packet, stream);
    else if (packet.cmd === "pubcomp") amendPubcomp(packet, stream);
    if (options?.protocolVersion === 5 && packet.cmd !== "publish" && !fitsClient(packet, stream, sizeOf5)) return true;
    return writeToStream(packet, stream, options);
  };
  short.short = true;
  library.writeToStream = Object.assign(short, writeToStream);
}

/** Writes a packet as the protocol engine does. @throws when it cannot be encoded */
export function sendPacket(packet: Packet, stream: object, protocolVersion: number): void {
  library.writeToStream(packet, stream, VERSIONS.get(protocolVersion) ?? { protocolVersion });
}

/** Bytes of the packet on the wire. @throws when it cannot be encoded */
export function sizeOf(packet: Packet, protocolVersion: number): number {
  const inOrder = protocolVersion === 5 ? encodeInOrder(packet, generate5) : undefined;
  return (inOrder ?? library.generate(packet, { protocolVersion })).length;
}

function sizeOf5(packet: Packet): number {
  return generate5(packet).length;
}

function generate5(packet: Packet): Buffer {
  return library.generate(packet, { protocolVersion: 5 });
}

/** Whether it is surely one that `encodePublish` takes. */
export function fitsShort({ topic, payload }: { readonly topic: string; readonly payload: unknown }): boolean {
  return Buffer.isBuffer(payload) && 3 * topic.length + payload.length < SHORT_BYTES_MAX - 8;
}

/** MQTT 5, 3.3. False, and nothing written, when it is not one of the simple ones. */
export function encodePublish(packet: PublishFields, version: number, outgoing: Outgoing, aliased?: Aliased): boolean {
  const { payload, messageId, qos = 0 } = packet;
  const topic = aliased === undefined ? packet.topic : aliased.topic;
  const alias = aliased === undefined ? 0 : aliased.alias;
  if (typeof topic !== "string" || !Buffer.isBuffer(payload) || (version === 5 && typeof packet.properties === "object")) return false;
  if (qos > 0 && typeof messageId !== "number") return false;
  const topicBytes = Buffer.byteLength(topic);
  const length = 2 + topicBytes + (qos > 0 ? 2 : 0) + (version === 5 ? 1 : 0) + (alias > 0 ? 3 : 0) + payload.length;
  if (length > SHORT_BYTES_MAX) return false;
  let at = outgoing.reserve(length + (length < 128 ? 2 : 3));
  const { bytes } = outgoing;
  bytes[at++] = 0x30 | (packet.dup === true ? 8 : 0) | (qos << 1) | (packet.retain === true ? 1 : 0);
  if (length < 128) {
    bytes[at++] = length;
  } else {
    bytes[at++] = (length & 127) | 128;
    bytes[at++] = length >> 7;
  }
  bytes[at++] = topicBytes >> 8;
  bytes[at++] = topicBytes;
  at += bytes.write(topic, at, topicBytes === topic.length ? "latin1" : "utf8");
  if (qos > 0) {
    bytes[at++] = Number(messageId) >> 8;
    bytes[at++] = Number(messageId);
  }
  if (version === 5) bytes[at++] = alias > 0 ? 3 : 0;
  if (alias > 0) {
    bytes[at++] = TOPIC_ALIAS;
    bytes[at++] = alias >> 8;
    bytes[at++] = alias;
  }
  bytes.set(payload, at);
  return true;
}

/** MQTT 5, 3.4. False, and nothing written, when it carries more than success. */
function puback({ messageId, reasonCode, properties }: Packet, version: number, outgoing: Outgoing): boolean {
  if (typeof messageId !== "number" || (reasonCode ?? 0) !== 0 || typeof properties === "object") return false;
  // A code that is said to be success is left out; one that was not given is written as success, as the library does.
  const length = version === 5 && reasonCode === undefined ? 4 : 2;
  let at = outgoing.reserve(2 + length);
  const { bytes } = outgoing;
  bytes[at++] = 0x40;
  bytes[at++] = length;
  bytes[at++] = messageId >> 8;
  bytes[at++] = messageId;
  if (length === 4) bytes.fill(0, at, at + 2);
  return true;
}
