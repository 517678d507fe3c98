interface Deleted {
  readonly bytes: number;
  readonly to: Buffer;
}

/** What was deleted here and there and still takes space on disk: LevelDB gives it back when somebody rewrites the range. */
export class Freed {
  /** By where a range begins. */
  readonly #ranges = new Map<Buffer, Deleted>();

  /** `from` is the same object for every deletion in a range; `key` is what was deleted behind it. */
  add(from: Buffer, key: Buffer, bytes: number): void {
    const before = this.#ranges.get(from);
    const to = before === undefined || Buffer.compare(before.to, key) < 0 ? key : before.to;
    this.#ranges.set(from, { bytes: (before?.bytes ?? 0) + bytes, to });
  }

  /** The ranges in which at least so many bytes were deleted. They count from zero again. */
  take(bytesMin: number): { from: Buffer; to: Buffer }[] {
    const found = [...this.#ranges].filter(([, { bytes }]) => bytes >= bytesMin);
    return found.map(([from, { to }]) => {
      this.#ranges.delete(from);
      return { from, to };
    });
  }
}
