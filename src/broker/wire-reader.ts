import { isUtf8 } from "node:buffer";
import { REASON } from "./reasons.ts";

/** What a client must not send, with the reason code of MQTT 5 (2.4) for it. */
export class ProtocolError extends Error {
  readonly reasonCode: number;
  /** Of a CONNECT that is wrong: how the CONNACK is to be laid out. */
  version: number | undefined;

  constructor(reasonCode: number, message: string) {
    super(message);
    this.reasonCode = reasonCode;
  }
}

export function malformed(message: string): ProtocolError {
  return new ProtocolError(REASON.malformedPacket, message);
}

export function protocolError(message: string): ProtocolError {
  return new ProtocolError(REASON.protocolError, message);
}

/** Reads the fields of one packet, within its bounds (MQTT 5, 1.5). Every read throws a ProtocolError when the packet is cut short. */
export class WireReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  /** The packet's bytes from `start`, behind the fixed header, to `end`. */
  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  get left(): number {
    return this.#end - this.#at;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#skip(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#skip(2));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#skip(4));
  }

  /** A variable byte integer (MQTT 5, 1.5.5). */
  variable(): number {
    let value = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.u8();
      value += (byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw malformed("a number takes more than four bytes");
  }

  /** Skips binary data and answers with its length. */
  binary(): number {
    const length = this.u16();
    this.#skip(length);
    return length;
  }

  /** Text: UTF-8 without U+0000 and without surrogates [MQTT-1.5.4-1], [MQTT-1.5.4-2]. */
  text(what: string): string {
    const length = this.u16();
    const start = this.#skip(length);
    const bytes = this.#bytes.subarray(start, start + length);
    if (!isUtf8(bytes)) throw malformed(`${what} is not UTF-8`);
    if (bytes.includes(0)) throw malformed(`${what} contains U+0000`);
    return bytes.toString("utf8");
  }

  /** A reader for the next `length` bytes. */
  part(length: number): WireReader {
    const start = this.#skip(length);
    return new WireReader(this.#bytes, start, start + length);
  }

  skipRest(): void {
    this.#at = this.#end;
  }

  #skip(length: number): number {
    const start = this.#at;
    if (length > this.left) throw malformed("a field reaches beyond the end of its packet");
    this.#at = start + length;
    return start;
  }
}
