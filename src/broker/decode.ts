import { createRequire } from "node:module";
import { TopicTexts } from "./topic-texts.ts";

/** What is used of the library's parser; the last three members say whether it is in the middle of a packet. */
interface Parser {
  parse(chunk: Buffer): number;
  emit(event: "packet", packet: ShortPacket): boolean;
  readonly settings: { readonly protocolVersion?: number };
  readonly error: Error | null;
  readonly _list: { readonly length: number };
  readonly _stateCounter: number;
}

type MakeParser = (options?: object) => Parser;

/** The fields that the library gives a packet. */
interface ShortPacket {
  readonly cmd: "publish" | "puback";
  readonly retain: boolean;
  readonly qos: number;
  readonly dup: boolean;
  /** Bytes after the fixed header. */
  readonly length: number;
  readonly topic: string | null;
  readonly payload: Buffer | null;
  readonly messageId?: number;
  readonly reasonCode?: number;
}

/** The first byte of a PUBACK, and the upper half of that of a PUBLISH (MQTT 5, 2.1.2). */
const PUBACK = 0x40;
const PUBLISH = 3;

/**
 * Makes the protocol engine read the two packets that clients send all the time, PUBLISH and PUBACK without properties, straight from the bytes
 * that arrived. Every other packet, and every malformed one, goes through the library's parser as before, with all that follows it in its
 * chunk. The library looks up each field in a list of chunks, and prepares texts for a debug log that is off.
 */
export function installPacketDecoder(): void {
  const engine = createRequire(import.meta.resolve("aedes"));
  const library = engine("mqtt-packet") as { parser: MakeParser & { short?: true } };
  const { parser } = library;
  if (parser.short === true) return;
  const topics = new TopicTexts();
  const short: MakeParser & { short?: true } = (options) => {
    const made = parser(options);
    const decoder = new Decoder(made, topics);
    made.parse = (chunk) => decoder.parse(chunk);
    return made;
  };
  short.short = true;
  library.parser = short;
}

/** Stands before the parser of one connection. */
class Decoder {
  readonly #parser: Parser;
  readonly #topics: TopicTexts;
  readonly #parse: (chunk: Buffer) => number;
  /** The beginning of a packet that may be one of the two; the library knows nothing of it. */
  #begun: Buffer | undefined;

  constructor(parser: Parser, topics: TopicTexts) {
    this.#parser = parser;
    this.#topics = topics;
    this.#parse = parser.parse.bind(parser);
  }

  /** Answers with the bytes of what is not complete yet. */
  parse(chunk: Buffer): number {
    const { error, _list: list, _stateCounter: state, settings } = this.#parser;
    if (error !== null || state !== 0 || list.length > 0) return this.#parse(chunk);
    const begun = this.#begun;
    this.#begun = undefined;
    const bytes = begun === undefined ? chunk : Buffer.concat([begun, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const size = sizeAt(bytes, at);
      if (size === undefined) break;
      if (at + size > bytes.length) {
        // What takes more than two chunks is left to the library, which need not put it together again with each of them.
        if (at === 0 && begun !== undefined) break;
        this.#begun = bytes.subarray(at);
        return bytes.length - at;
      }
      const packet = this.#packet(bytes, { start: at, end: at + size, version: settings.protocolVersion });
      if (packet === undefined) break;
      at += size;
      this.#parser.emit("packet", packet);
    }
    return at === bytes.length ? 0 : this.#parse(at === 0 ? bytes : bytes.subarray(at));
  }

  #packet(bytes: Buffer, place: { start: number; end: number; version: number | undefined }): ShortPacket | undefined {
    return bytes[place.start] === PUBACK ? puback(numberAt(bytes, place.start + 2), place.version) : this.#publish(bytes, place);
  }

  /** MQTT 5, 3.3. Undefined when it has properties, or fields that reach beyond its end. */
  #publish(bytes: Buffer, { start, end, version }: { start: number; end: number; version: number | undefined }): ShortPacket | undefined {
    const first = bytes[start] ?? 0;
    const topicAt = start + ((bytes[start + 1] ?? 0) < 128 ? 4 : 5);
    const topicEnd = topicAt + numberAt(bytes, topicAt - 2);
    const qos = (first >> 1) & 3;
    const propertiesAt = topicEnd + (qos > 0 ? 2 : 0);
    const payloadAt = propertiesAt + (version === 5 ? 1 : 0);
    if (payloadAt > end || (version === 5 && bytes[propertiesAt] !== 0)) return undefined;
    const retain = (first & 1) !== 0;
    const dup = (first & 8) !== 0;
    const length = end - topicAt + 2;
    const topic = this.#topics.at(bytes, topicAt, topicEnd);
    const payload = bytes.subarray(payloadAt, end);
    if (qos === 0) return { cmd: "publish", retain, qos, dup, length, topic, payload };
    return { cmd: "publish", retain, qos, dup, length, topic, payload, messageId: numberAt(bytes, topicEnd) };
  }
}

/** MQTT 5, 3.4: a reason that is left out is success. The versions before have none. */
function puback(messageId: number, version: number | undefined): ShortPacket {
  const packet = { cmd: "puback", retain: false, qos: 0, dup: false, length: 2, topic: null, payload: null, messageId } as const;
  return version === 5 ? { ...packet, reasonCode: 0 } : packet;
}

/**
 * Bytes of the packet that begins there, with its fixed header, or the least that it can have while that is not complete. Undefined when it is
 * neither of the two, or has a remaining length of more than two bytes (MQTT 5, 1.5.5).
 */
function sizeAt(bytes: Buffer, at: number): number | undefined {
  const first = bytes[at] ?? 0;
  if (first === PUBACK) return (bytes[at + 1] ?? 2) === 2 ? 4 : undefined;
  // Both bits of the QoS together are no QoS [MQTT-3.3.1-4].
  if (first >> 4 !== PUBLISH || (first & 6) === 6) return undefined;
  const low = bytes[at + 1] ?? 0;
  if (low < 128) return 2 + low;
  const high = bytes[at + 2] ?? 0;
  return high > 127 ? undefined : 3 + (low & 127) + high * 128;
}

function numberAt(bytes: Buffer, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}
