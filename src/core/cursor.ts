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
    return seq < this.#front || this.#ranges.some((range) => seq >= range.start && seq < range.end);
  }

  /** Marks every seq from `start` up to but not including `end`. */
  complete(start: number, end: number = start + 1): void {
    if (end <= this.#front || end <= start) return;
    if (start > this.#front) this.#insert(start, end);
    else this.#front = end;
    let first = this.#ranges[0];
    while (first !== undefined && first.start <= this.#front) {
      this.#front = Math.max(this.#front, first.end);
      this.#ranges.shift();
      first = this.#ranges[0];
    }
  }

  /** The opposite of `complete`, for a message that was set aside and is taken up again. */
  reopen(seq: number): void {
    if (seq < this.#front) {
      const end = this.#front;
      this.#front = seq;
      if (end > seq + 1) this.#ranges.unshift({ start: seq + 1, end });
      return;
    }
    const at = this.#ranges.findIndex((range) => seq >= range.start && seq < range.end);
    const range = this.#ranges[at];
    if (range === undefined) return;
    const parts = [
      { start: range.start, end: seq },
      { start: seq + 1, end: range.end },
    ];
    this.#ranges.splice(at, 1, ...parts.filter(({ start, end }) => end > start));
  }

  #insert(start: number, end: number): void {
    const ranges = this.#ranges;
    let at = ranges.length;
    while (at > 0 && (ranges[at - 1]?.start ?? 0) > start) at--;
    const before = ranges[at - 1];
    if (before !== undefined && before.end >= start) {
      before.end = Math.max(before.end, end);
      at--;
    } else {
      ranges.splice(at, 0, { start, end });
    }
    const grown = ranges[at];
    if (grown === undefined) return;
    while ((ranges[at + 1]?.start ?? Infinity) <= grown.end) {
      const [next] = ranges.splice(at + 1, 1);
      grown.end = Math.max(grown.end, next?.end ?? 0);
    }
  }

  /**
   * Varints: the front, then for each range the distance from the last end and the length. Where keys are set aside: a distance of 0, which no
   * range has, the length of the routing and the routing, and for each key its seq, its length and the key.
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
    let at = 0;
    const next = (): number => {
      let value = 0;
      for (let factor = 1; ; factor *= 128) {
        const byte = bytes[at++] ?? 0;
        value += (byte & 127) * factor;
        if (byte < 128) return value;
      }
    };
    const text = (): string => {
      const length = next();
      at += length;
      return Buffer.from(bytes.subarray(at - length, at)).toString();
    };
    const cursor = new Cursor(next());
    let last = cursor.front;
    while (at < bytes.length) {
      const distance = next();
      if (distance === 0) {
        const routing = text();
        while (at < bytes.length) {
          const seq = next();
          cursor.setAside(text(), seq, routing);
        }
        break;
      }
      const start = last + distance;
      last = start + next();
      cursor.#ranges.push({ start, end: last });
    }
    return cursor;
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
