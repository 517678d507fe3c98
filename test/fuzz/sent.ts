import { type IPublishPacket, type Packet, parser } from "mqtt-packet";

const CONNECT = 1;
const PUBLISH = 3;
const PINGREQ = 12;

/** What a client's bytes are, read without the broker's code. */
export interface Sent {
  /** Of the CONNECT in front; undefined when there is none, or not all of it. */
  readonly connect: { readonly version: number; readonly keepAlive: number } | undefined;
  readonly pings: number;
  /** Bytes of a packet that was begun and is not complete. */
  readonly open: number;
  /** PUBLISH packets by their packet id; undefined where an id is there more than once. */
  readonly publishes: ReadonlyMap<number, Buffer | undefined>;
}

/** What comes behind a length field that is no length is not looked at, nor is anything that is no packet. */
export function readSent(bytes: Buffer): Sent {
  const packets: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = endOf(bytes, at);
    if (end === undefined || end > bytes.length) break;
    packets.push(bytes.subarray(at, end));
    at = end;
  }
  const publishes = new Map<number, Buffer | undefined>();
  for (const packet of packets) {
    const id = publishId(packet);
    if (id !== undefined) publishes.set(id, publishes.has(id) ? undefined : packet);
  }
  return {
    connect: connectOf(packets[0]),
    pings: packets.filter((packet) => (packet[0] ?? 0) >> 4 === PINGREQ).length,
    open: bytes.length - at,
    publishes,
  };
}

/** Undefined when the length is not complete, or has more than four bytes. */
function endOf(bytes: Buffer, start: number): number | undefined {
  let length = 0;
  for (let index = 0; index < 4; index++) {
    const byte = bytes[start + 1 + index];
    if (byte === undefined) return undefined;
    length += (byte & 127) * 128 ** index;
    if (byte < 128) return start + 2 + index + length;
  }
  return undefined;
}

function bodyAt(packet: Buffer): number {
  let at = 1;
  while ((packet[at] ?? 0) >= 128) at++;
  return at + 1;
}

function connectOf(packet: Buffer | undefined): Sent["connect"] {
  if (packet === undefined || (packet[0] ?? 0) >> 4 !== CONNECT) return undefined;
  const at = bodyAt(packet);
  if (at + 2 > packet.length) return undefined;
  const versionAt = at + 2 + packet.readUInt16BE(at);
  if (versionAt + 4 > packet.length) return undefined;
  return { version: (packet[versionAt] ?? 0) & 127, keepAlive: packet.readUInt16BE(versionAt + 2) };
}

function publishId(packet: Buffer): number | undefined {
  const first = packet[0] ?? 0;
  if (first >> 4 !== PUBLISH || (first & 6) === 0) return undefined;
  const at = bodyAt(packet);
  if (at + 2 > packet.length) return undefined;
  const idAt = at + 2 + packet.readUInt16BE(at);
  return idAt + 2 > packet.length ? undefined : packet.readUInt16BE(idAt);
}

/** One packet that the broker has taken. Undefined when the library cannot read it. */
export function parsePublish(packet: Buffer, version: number): IPublishPacket | undefined {
  let found: Packet | undefined;
  const reader = parser({ protocolVersion: version });
  reader.on("packet", (parsed) => (found = parsed));
  reader.on("error", () => undefined); // The answer is that there is none.
  reader.parse(packet);
  return found?.cmd === "publish" ? found : undefined;
}
