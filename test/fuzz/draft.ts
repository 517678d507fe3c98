/** The properties of a packet of MQTT 5, each with its identifier in front (2.2.2). */
export interface PropertyBlock {
  readonly properties: readonly Buffer[];
}

/** A packet before it is put together, so that damage can be done to its parts. */
export interface Draft {
  /** The first byte: type and flags. */
  readonly first: number;
  readonly parts: readonly (Buffer | PropertyBlock)[];
}

export function u8(value: number): Buffer {
  return Buffer.from([value & 255]);
}

export function u16(value: number): Buffer {
  return Buffer.from([(value >> 8) & 255, value & 255]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** A variable byte integer (MQTT 5, 1.5.5), in `least` bytes at least. */
export function variable(value: number, least = 1): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left = Math.floor(left / 128)) {
    const isLast = left < 128 && bytes.length + 1 >= least;
    bytes.push((left & 127) | (isLast ? 0 : 128));
    if (isLast) return Buffer.from(bytes);
  }
}

/** Text or binary data with its length in front. */
export function sized(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function bodyOf({ parts }: Draft): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (Buffer.isBuffer(part)) return part;
      const bytes = Buffer.concat(part.properties);
      return Buffer.concat([variable(bytes.length), bytes]);
    }),
  );
}

export function encode(draft: Draft): Buffer {
  const body = bodyOf(draft);
  return Buffer.concat([u8(draft.first), variable(body.length), body]);
}
