/** What was set aside: of each of these keys everything from its seq on. `routing` says what gives a message its key. */
export interface Aside {
  readonly routing: string;
  readonly keys: ReadonlyMap<string, number>;
}

/**
 * Which messages a consumer is done with: everything below `front`, and the ranges above it that finished out of order, apart from the keys that
 * were set aside. Ranges are half-open, ascending, apart from one another, and all above the front. A key that is set aside costs the same
 * few bytes however many messages it has waiting among those of other keys.
 */
export class Cursor {
  #front: number;
  readonly #ranges: { start: number; end: number }[] = [];
  readonly #aside = new Map<string, number>();
  #routing = "";
  /** What stands for the keys in the encoding; they change seldom. */
  #encodedAside: Buffer | undefined;
  #order = 0;
  #orderedFrom = 0;

  constructor(floor: number) {
    this.#front = floor;
  }

  /** Every message below is done. */
  get floor(): number {
    let floor = this.#front;
    for (const seq of this.#aside.values()) floor = Math.min(floor, seq);
    return floor;
  }

  /** Every message below is done or belongs to a key that was set aside. */
  get front(): number {
    return this.#front;
  }

  /** Nothing from here on is done. */
  get end(): number {
    return this.#ranges.at(-1)?.end ?? this.#front;
  }

  /** How many separate ranges are kept above the floor. */
  get gaps(): number {
    return this.#ranges.length;
  }

  get aside(): Aside {
    return { routing: this.#routing, keys: this.#aside };
  }

  /** From here on nothing of a key is done above a message that is not. Below, where another order was kept, it may be. */
  get orderedFrom(): number {
    return Math.min(this.#orderedFrom, this.end);
  }

  /** From now on messages finish in the order that this number stands for, 0 for none. What is done so far was done under the one before. */
  keepOrder(order: number): void {
    if (order === 0 || order !== this.#order) this.breakOrder();
    this.#order = order;
  }

  /** What is done so far need not have been done in order. */
  breakOrder(): void {
    this.#orderedFrom = this.end;
  }

  /** From `seq` on the messages of the key are not done, whatever is completed. Moves in both directions. */
  setAside(key: string, seq: number, routing: string): void {
    this.#aside.set(key, seq);
    this.#routing = routing;
    this.#encodedAside = undefined;
  }

  /** The messages of the key are like all others again. */
  release(key: string): void {
    if (this.#aside.delete(key)) this.#encodedAside = undefined;
  }

  /** Whether it was completed; says nothing about keys that were set aside. */
  isDone(seq: number): boolean {
    return seq < this.#front || (this.#ranges[this.#begunBy(seq) - 1]?.end ?? 0) > seq;
  }

  /** The first seq from `seq` on that was not completed; says nothing about keys that were set aside. */
  openFrom(seq: number): number {
    return seq < this.#front ? this.#front : Math.max(seq, this.#ranges[this.#begunBy(seq) - 1]?.end ?? 0);
  }

  /** Marks every seq from `start` up to but not including `end`. */
  complete(start: number, end: number = start + 1): void {
    if (end <= this.#front || end <= start) return;
    if (start > this.#front) return this.#insert(start, end);
    this.#front = end;
    const reached = this.#begunBy(end);
    if (reached > 0) this.#front = Math.max(end, this.#ranges.splice(0, reached).at(-1)?.end ?? 0);
  }

  /** The opposite of `complete`, for a message that was set aside and is taken up again. */
  reopen(seq: number): void {
    if (seq < this.#front) {
      const end = this.#front;
      this.#front = seq;
      if (end > seq + 1) this.#ranges.unshift({ start: seq + 1, end });
      return;
    }
    const at = this.#begunBy(seq) - 1;
    const range = this.#ranges[at];
    if (range === undefined || range.end <= seq) return;
    const parts = [
      { start: range.start, end: seq },
      { start: seq + 1, end: range.end },
    ];
    this.#ranges.splice(at, 1, ...parts.filter(({ start, end }) => end > start));
  }

  /** How many ranges begin at or below `seq`. */
  #begunBy(seq: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.start ?? Infinity) <= seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(start: number, end: number): void {
    const ranges = this.#ranges;
    const at = this.#begunBy(start);
    const before = ranges[at - 1];
    const grown = before !== undefined && before.end >= start ? before : { start, end };
    const next = grown === before ? at : at + 1;
    if (grown !== before) ranges.splice(at, 0, grown);
    grown.end = Math.max(grown.end, end);
    const reached = this.#begunBy(end) - next;
    if (reached > 0) grown.end = Math.max(grown.end, ranges.splice(next, reached).at(-1)?.end ?? 0);
  }

  /**
   * Varints: the front, then for each range the distance from the last end and the length. The rest follows a distance of 0, which no range has.
   * Where there are ranges or keys that finish in some order: 0, which no routing has for its length, the order, and how far above the front it
   * begins. Where keys are set aside: the length of the routing and the routing, and for each key its seq, its length and the key.
   */
  encode(): Buffer {
    const bytes: number[] = [];
    varint(bytes, this.#front);
    let last = this.#front;
    for (const { start, end } of this.#ranges) {
      varint(bytes, start - last);
      varint(bytes, end - start);
      last = end;
    }
    if (this.#order !== 0 && (this.#ranges.length > 0 || this.#aside.size > 0)) {
      bytes.push(0, 0);
      varint(bytes, this.#order);
      varint(bytes, Math.max(0, this.orderedFrom - this.#front));
    }
    if (this.#aside.size === 0) return Buffer.from(bytes);
    this.#encodedAside ??= this.#encodeAside();
    return Buffer.concat([Buffer.from(bytes), this.#encodedAside]);
  }

  #encodeAside(): Buffer {
    const parts: Buffer[] = [Buffer.from([0]), counted(Buffer.from(this.#routing))];
    for (const [key, seq] of this.#aside) {
      const bytes: number[] = [];
      varint(bytes, seq);
      parts.push(Buffer.from(bytes), counted(Buffer.from(key)));
    }
    return Buffer.concat(parts);
  }

  static decode(bytes: Uint8Array): Cursor {
    const reader = new Reader(bytes);
    const cursor = new Cursor(reader.number());
    let last = cursor.front;
    while (!reader.ended) {
      const distance = reader.number();
      if (distance === 0) {
        cursor.#decodeRest(reader);
        continue;
      }
      const start = last + distance;
      last = start + reader.number();
      cursor.#ranges.push({ start, end: last });
    }
    return cursor;
  }

  #decodeRest(reader: Reader): void {
    const length = reader.number();
    if (length === 0) {
      this.#order = reader.number();
      this.#orderedFrom = this.#front + reader.number();
      return;
    }
    const routing = reader.text(length);
    while (!reader.ended) {
      const seq = reader.number();
      this.setAside(reader.text(reader.number()), seq, routing);
    }
  }
}

class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  number(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  text(length: number): string {
    this.#at += length;
    return Buffer.from(this.#bytes.subarray(this.#at - length, this.#at)).toString();
  }
}

function varint(bytes: number[], value: number): void {
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
}

function counted(text: Buffer): Buffer {
  const bytes: number[] = [];
  varint(bytes, text.length);
  return Buffer.concat([Buffer.from(bytes), text]);
}
