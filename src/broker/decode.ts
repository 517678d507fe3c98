import { isUtf8 } from "node:buffer";
import { createRequire } from "node:module";
import { topicNameProblem } from "./filters.ts";
import { REASON } from "./reasons.ts";
import { TopicTexts } from "./topic-texts.ts";
import { keepNames, namesInDisorder } from "./user-properties.ts";
import { malformed, ProtocolError, protocolError } from "./wire-reader.ts";
import { checkPacket, checkType, publishFlagsProblem } from "./wire-rules.ts";

/** What is used of the library's parser. */
interface Parser {
  parse(chunk: Buffer): number;
  prependOnceListener(event: "packet", listener: (packet: object) => void): unknown;
  emit(event: "packet", packet: ShortPacket): boolean;
  emit(event: "error", error: Error): boolean;
  readonly settings: { readonly protocolVersion?: number };
  /** Set by the protocol engine, of a connection that it has accepted. */
  readonly client?: { readonly broker: { readonly maximumPacketSize: number } };
  /** Makes it begin anew, with nothing of a packet. */
  readonly _resetState: () => void;
  /** The bytes that it has: a stream, as large as all the rest of it. */
  readonly _list: object | undefined;
}

type MakeParser = (options?: object) => Parser;

/** The fields that the library gives a packet. */
interface ShortPacket {
  readonly cmd: "publish" | "puback" | "pingreq";
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

/** Where a packet is. */
interface Place {
  readonly start: number;
  /** Where the fixed header ends. */
  readonly bodyAt: number;
  readonly end: number;
}

/** Length of a topic that is kept for each connection. */
const KEPT_TOPIC_MAX = 256;

/** The first byte of a PUBACK and of a PINGREQ, and the upper half of those of CONNECT and PUBLISH (MQTT 5, 2.1.2). */
const PUBACK = 0x40;
const PINGREQ = 0xc0;
const CONNECT = 1;
const PUBLISH = 3;

/**
 * Makes the protocol engine read what the standard allows, and nothing else: each packet is checked as a whole before it is parsed, see `checkPacket`. Those
 * that clients send all the time, PUBLISH and PUBACK without properties and PINGREQ, are read straight from the bytes that arrived; every other
 * goes through the library's parser. The library looks up each field in a list of chunks, and prepares texts for a debug log that is off.
 */
export function installPacketDecoder(): void {
  const engine = createRequire(import.meta.resolve("aedes"));
  const library = engine("mqtt-packet") as { parser: MakeParser & { strict?: true } };
  const { parser } = library;
  if (parser.strict === true) return;
  const topics = new TopicTexts(checkTopic);
  const strict: MakeParser & { strict?: true } = (options) => {
    const made = parser(options);
    const decoder = new Decoder(made, topics);
    made.parse = (chunk) => decoder.parse(chunk);
    return made;
  };
  strict.strict = true;
  library.parser = strict;
}

function checkTopic(text: string, bytes: Buffer): void {
  if (text.includes("\uFFFD") && !isUtf8(bytes)) throw malformed("the topic is not UTF-8");
  if (text.includes("\0")) throw malformed("the topic contains U+0000");
  const problem = topicNameProblem(text);
  if (problem !== undefined) throw new ProtocolError(REASON.topicNameInvalid, `the topic cannot be published to: ${problem}`);
}

/** Stands before the parser of one connection, and cuts what arrives into packets. What comes behind a packet that is wrong is not looked at. */
class Decoder {
  readonly #parser: Parser;
  readonly #topics: TopicTexts;
  readonly #parse: (chunk: Buffer) => number;
  /** The beginning of a packet, put together when all of it is here. */
  #begun: Buffer[] = [];
  #size = 0;
  /** With how many bytes it is worth looking again. */
  #needed = 0;
  #isOver = false;
  /** Of the last PUBLISH: most clients use one. */
  #topic: string | undefined;

  constructor(parser: Parser, topics: TopicTexts) {
    this.#parser = parser;
    this.#topics = topics;
    this.#parse = parser.parse.bind(parser);
  }

  /** Answers with the bytes of what is not complete yet. */
  parse(chunk: Buffer): number {
    // A client of the same library in this process reads what brokers send.
    if (this.#parser.client === undefined) return this.#parse(chunk);
    if (this.#isOver) return 0;
    let bytes = chunk;
    if (this.#begun.length > 0) {
      this.#begun.push(chunk);
      this.#size += chunk.length;
      if (this.#size < this.#needed) return this.#size;
      bytes = Buffer.concat(this.#begun);
      this.#begun = [];
    }
    try {
      this.#cut(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#isOver = true;
      this.#begun = [];
      this.#parser.emit("error", error);
    }
    return this.#begun.length === 0 ? 0 : this.#size;
  }

  #cut(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      // [MQTT-3.1.0-1]. Whoever speaks something else may never send as much as the packet that it seems to be.
      if (this.#parser.settings.protocolVersion === undefined && (bytes[at] ?? 0) >> 4 !== CONNECT)
        throw protocolError("the first packet is no CONNECT");
      const place = placeAt(bytes, at);
      if (place === undefined || place.end > bytes.length) checkType(bytes[at] ?? 0); // The rest may never come.
      if (place === undefined) return this.#keep(bytes.subarray(at), bytes.length - at + 1);
      this.#checkSize(place.end - at);
      if (place.end > bytes.length) return this.#keep(bytes.subarray(at), place.end - at);
      this.#take(bytes, place);
      at = place.end;
    }
  }

  #keep(bytes: Buffer, needed: number): void {
    this.#begun = [bytes];
    this.#size = bytes.length;
    this.#needed = needed;
  }

  /** As soon as it is known, so that nobody fills the memory with a packet that is too large [MQTT-3.2.2-15]. */
  #checkSize(size: number): void {
    const max = this.#parser.client?.broker.maximumPacketSize ?? 0;
    if (max > 0 && size > max) throw new ProtocolError(REASON.packetTooLarge, `a packet has ${size} bytes, at most ${max} are allowed`);
  }

  #take(bytes: Buffer, place: Place): void {
    const { protocolVersion: version } = this.#parser.settings;
    const packet = version === undefined ? undefined : this.#short(bytes, place, version);
    if (packet !== undefined) {
      this.#parser.emit("packet", packet);
      return;
    }
    const names = namesInDisorder(checkPacket(bytes, place, version));
    // Before those who take the packet.
    if (names !== undefined) this.#parser.prependOnceListener("packet", (parsed) => keepNames(parsed, names));
    // It gets whole packets only, and has nothing between them.
    const { _list: list, _resetState: begin } = this.#parser;
    if (list === undefined) begin.call(this.#parser);
    this.#parse(bytes.subarray(place.start, place.end));
    Reflect.set(this.#parser, "_list", undefined);
  }

  #short(bytes: Buffer, place: Place, version: number): ShortPacket | undefined {
    const first = bytes[place.start] ?? 0;
    if (first >> 4 === PUBLISH) return this.#publish(bytes, place, version);
    if (first === PINGREQ && place.end === place.bodyAt) return pingreq();
    if (first !== PUBACK || place.end - place.bodyAt !== 2) return undefined;
    const messageId = numberAt(bytes, place.bodyAt);
    return messageId === 0 ? undefined : puback(messageId, version);
  }

  /** MQTT 5, 3.3. Undefined when it has properties, or something is wrong with it. */
  #publish(bytes: Buffer, { start, bodyAt, end }: Place, version: number): ShortPacket | undefined {
    const first = bytes[start] ?? 0;
    const topicAt = bodyAt + 2;
    const topicEnd = topicAt + numberAt(bytes, bodyAt);
    const qos = (first >> 1) & 3;
    const propertiesAt = topicEnd + (qos > 0 ? 2 : 0);
    const payloadAt = propertiesAt + (version === 5 ? 1 : 0);
    if (
      topicEnd === topicAt ||
      payloadAt > end ||
      (version === 5 && bytes[propertiesAt] !== 0) ||
      publishFlagsProblem(first & 15) !== undefined
    )
      return undefined;
    const retain = (first & 1) !== 0;
    const dup = (first & 8) !== 0;
    const length = end - bodyAt;
    const topic = this.#topics.at(bytes, topicAt, topicEnd, this.#topic);
    this.#topic = topic.length <= KEPT_TOPIC_MAX ? topic : undefined;
    const payload = bytes.subarray(payloadAt, end);
    if (qos === 0) return { cmd: "publish", retain, qos, dup, length, topic, payload };
    const messageId = numberAt(bytes, topicEnd);
    return messageId === 0 ? undefined : { cmd: "publish", retain, qos, dup, length, topic, payload, messageId };
  }
}

/** MQTT 5, 3.4: a reason that is left out is success. The versions before have none. */
function puback(messageId: number, version: number): ShortPacket {
  const packet = { cmd: "puback", retain: false, qos: 0, dup: false, length: 2, topic: null, payload: null, messageId } as const;
  return version === 5 ? { ...packet, reasonCode: 0 } : packet;
}

function pingreq(): ShortPacket {
  return { cmd: "pingreq", retain: false, qos: 0, dup: false, length: 0, topic: null, payload: null };
}

/** Of the packet that begins there; undefined when its fixed header is not complete (MQTT 5, 2.1.4). @throws ProtocolError */
function placeAt(bytes: Buffer, start: number): Place | undefined {
  let length = 0;
  for (let index = 0; index < 4; index++) {
    const byte = bytes[start + 1 + index];
    if (byte === undefined) return undefined;
    length += (byte & 127) << (7 * index);
    if (byte < 128) {
      const bodyAt = start + 2 + index;
      return { start, bodyAt, end: bodyAt + length };
    }
  }
  throw malformed("the remaining length takes more than four bytes");
}

function numberAt(bytes: Buffer, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}
