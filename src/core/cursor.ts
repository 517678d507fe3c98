/**
 * Which messages a consumer is done with: everything below `floor`, and the ranges above it that finished out of order.
 * Ranges are half-open, ascending, apart from one another, and all above the floor.
 */
export class Cursor {
  #floor: number;
  readonly #ranges: { start: number; end: number }[] = [];

  constructor(floor: number) {
    this.#floor = floor;
  }

  get floor(): number {
    return this.#floor;
  }

  /** How many separate ranges are kept above the floor. */
  get gaps(): number {
    return this.#ranges.length;
  }

  isDone(seq: number): boolean {
    return seq < this.#floor || this.#ranges.some((range) => seq >= range.start && seq < range.end);
  }

  /** Marks every seq from `start` up to but not including `end`. */
  complete(start: number, end: number = start + 1): void {
    if (end <= this.#floor || end <= start) return;
    if (start > this.#floor) this.#insert(start, end);
    else this.#floor = end;
    let first = this.#ranges[0];
    while (first !== undefined && first.start <= this.#floor) {
      this.#floor = Math.max(this.#floor, first.end);
      this.#ranges.shift();
      first = this.#ranges[0];
    }
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

  /** Varints: the floor, then for each range the distance from the last end and the length. */
  encode(): Buffer {
    const bytes: number[] = [];
    varint(bytes, this.#floor);
    let last = this.#floor;
    for (const { start, end } of this.#ranges) {
      varint(bytes, start - last);
      varint(bytes, end - start);
      last = end;
    }
    return Buffer.from(bytes);
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
    const cursor = new Cursor(next());
    let last = cursor.floor;
    while (at < bytes.length) {
      const start = last + next();
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
