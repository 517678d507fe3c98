/** What the outside world knows of the messages of one key. Numbers start at 1 and are used once. */
export class KeyLedger {
  readonly key: string;
  readonly qos: 1 | 2;
  sent = 0;
  readonly acknowledged = new Set<number>();
  /** Local deliveries of what the function passed on, by number. */
  readonly delivered = new Map<number, number>();

  constructor(key: string, qos: 1 | 2) {
    this.key = key;
    this.qos = qos;
  }

  next(): number {
    return ++this.sent;
  }
}

export class Ledger {
  readonly keys: readonly KeyLedger[];
  readonly #byName: ReadonlyMap<string, KeyLedger>;

  constructor(keys: readonly KeyLedger[]) {
    this.keys = keys;
    this.#byName = new Map(keys.map((one) => [one.key, one]));
  }

  deliver(key: string, n: number): void {
    const found = this.#byName.get(key);
    if (found === undefined) throw new Error(`a delivery for the key "${key}", which nobody publishes to`);
    found.delivered.set(n, (found.delivered.get(n) ?? 0) + 1);
  }

  get sent(): number {
    return this.keys.reduce((sum, { sent }) => sum + sent, 0);
  }

  get acknowledged(): number {
    return this.keys.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0);
  }
}
