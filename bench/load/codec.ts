/** The few MQTT packets that a load generator needs, by hand: a general client would be slower than the brokers it measures. */
export const TYPE = { CONNECT: 1, CONNACK: 2, PUBLISH: 3, PUBACK: 4, SUBSCRIBE: 8, SUBACK: 9, PINGRESP: 13 } as const;

/** Version 3.1.1, or 5 for who sends properties. Clean session; no keep alive unless there are seconds for it. */
export function encodeConnect(clientId: string, version: 4 | 5, keepAlive = 0): Buffer {
  const properties = version === 5 ? [0] : [];
  return packet(
    0x10,
    Buffer.concat([text("MQTT"), Buffer.from([version, 2, keepAlive >> 8, keepAlive & 255, ...properties]), text(clientId)]),
  );
}

/** The properties of a PUBLISH of version 5 that names a trace. */
export function traceProperties(): Buffer<ArrayBuffer> {
  const property = Buffer.concat([
    Buffer.from([0x26]),
    text("traceparent"),
    text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
  ]);
  return Buffer.concat([Buffer.from([property.length]), property]);
}

/** One filter. */
export function encodeSubscribe(filter: string, qos: 0 | 1): Buffer {
  return packet(0x82, Buffer.concat([Buffer.from([0, 1]), text(filter), Buffer.from([qos])]));
}

/** PUBACKs for all `ids` in one piece. */
export function encodePubacks(ids: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(ids.length * 4);
  let at = 0;
  for (const id of ids) {
    bytes[at] = 0x40;
    bytes[at + 1] = 2;
    at = bytes.writeUInt16BE(id, at + 2);
  }
  return bytes;
}

/** Publishes of equal size, one behind the other, ready to be copied and sent once packet ids and stamps are written into them. */
export interface PublishBlock {
  readonly bytes: Buffer;
  readonly count: number;
  readonly packetBytes: number;
  /** Offset of the packet id in each packet, of QoS 1. */
  readonly idAt: number | undefined;
  /** Offset of the payload in each packet. */
  readonly payloadAt: number;
}

/** A block with one packet for each topic. Topics must be equally long, payloads too. `properties` only in version 5. */
export function publishBlock(
  topics: readonly string[],
  payloadOf: (index: number) => string,
  { qos, properties = Buffer.alloc(0) }: { readonly qos: 0 | 1; readonly properties?: Buffer },
): PublishBlock {
  const id = Buffer.alloc(qos === 0 ? 0 : 2);
  const packets = topics.map((topic, index) =>
    packet(0x30 | (qos << 1), Buffer.concat([text(topic), id, properties, Buffer.from(payloadOf(index))])),
  );
  const packetBytes = packets[0]?.length ?? 0;
  if (packets.some(({ length }) => length !== packetBytes)) throw new Error("the packets of a block differ in size");
  const payloadBytes = Buffer.byteLength(payloadOf(0));
  const payloadAt = packetBytes - payloadBytes;
  return {
    bytes: Buffer.concat(packets),
    count: packets.length,
    packetBytes,
    idAt: qos === 0 ? undefined : payloadAt - properties.length - 2,
    payloadAt,
  };
}

/** `first` is the packet's first byte; its variable header starts at `start` of `bytes`, its payload ends at `end`. */
export type TakePacket = (first: number, bytes: Buffer, start: number, end: number) => void;

/** Cuts a byte stream into packets. The bytes given to `read` may be overwritten afterwards. */
export class PacketReader {
  readonly #take: TakePacket;
  #rest: Buffer | undefined;

  constructor(take: TakePacket) {
    this.#take = take;
  }

  read(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const start = bodyStart(bytes, at);
      const end = start + bodyBytes(bytes, at, start);
      if (start < 0 || end > bytes.length) break;
      this.#take(bytes[at] ?? 0, bytes, start, end);
      at = end;
    }
    this.#rest = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined;
  }
}

/** Where the body of the packet at `at` starts; -1 when its length field is not complete. */
function bodyStart(bytes: Buffer, at: number): number {
  for (let index = at + 1; index < bytes.length; index++) if ((bytes[index] ?? 0) < 128) return index + 1;
  return -1;
}

function bodyBytes(bytes: Buffer, at: number, start: number): number {
  let length = 0;
  for (let index = start - 1; index > at; index--) length = length * 128 + ((bytes[index] ?? 0) & 127);
  return length;
}

function packet(first: number, body: Buffer): Buffer {
  const length: number[] = [];
  for (let left = body.length; ; left >>= 7) {
    if (left < 128) {
      length.push(left);
      break;
    }
    length.push((left & 127) | 128);
  }
  return Buffer.concat([Buffer.from([first, ...length]), body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
}
