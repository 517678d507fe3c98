/** The share of what a host may take beyond its own needs that is filled without a thought. */
const SHARE = 0.7;
/** Beyond this share nobody comes in only because of having waited. */
const SHARE_MAX = 0.9;
/** What an isolate is thought to take until the next look. */
const INSTANCE_BYTES = 2 * 2 ** 20;
/** So many instances are let in however much memory there is: one that takes much must not shut out the others. */
const INSTANCES_MIN = 16;
/** Given up at a time, beyond those that are too many. */
const EVICTED = 8;
/** Growth that shows that there are too many instances, as a share of what is left above `SHARE`. */
const GROWTH = 1 / 4;
/** What is left of the instances after such growth. */
const KEPT = 7 / 8;
const INTERVAL_MS = 20;
/** Who waits while nothing can be given up comes in after that time. */
const PATIENCE_MS = 100;

/** An instance as far as room for others is concerned. */
export interface Tenant {
  /** Not empty while something is under way. */
  readonly deadlines: readonly number[];
  /** When it was last given something to do, in milliseconds since some moment; 0 if never. */
  readonly usedAt: number;
  /** Leaves if it has nothing to do, `evenKept` also if it is to be kept warm. True when it has left. */
  giveUp(evenKept: boolean): boolean;
}

interface HostRoomOptions {
  /** Bytes at which the host is killed. */
  readonly memoryMax: number;
  /** Bytes that it takes now. */
  bytes(): number;
  /** An instance has made room for others. */
  readonly evicted: () => void;
}

interface Waiter {
  readonly tenant: Tenant;
  readonly since: number;
  let(inside: boolean): void;
}

/**
 * How many instances a host takes, so that it does not get to the memory at which it is killed: as many as there are when it has most of it. From
 * then on whoever comes takes the place of one that has nothing to do, the one that was used longest ago. What instances leave behind is used
 * again by the next ones and hardly given back to the system, so memory says when there are enough of them, and not when there is room again.
 */
export class HostRoom {
  readonly #options: HostRoomOptions;
  readonly #inside = new Set<Tenant>();
  readonly #waiting: Waiter[] = [];
  /** Bytes below which there is room without a thought, and those that only who finds a place may cross. */
  #share = Infinity;
  #shareMax = Infinity;
  /** At the last look. */
  #bytes = 0;
  /** Instances that are being made, and those among all that the last look has not seen. */
  #making = 0;
  #unseen = 0;
  /** Instances that there may be, as found out when the host had so many bytes. */
  #ceiling = { count: Infinity, bytes: 0 };
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: HostRoomOptions) {
    this.#options = options;
  }

  /** The host is there and holds nothing yet. */
  open(): void {
    const { memoryMax } = this.#options;
    const bare = Math.min(this.#options.bytes(), memoryMax);
    this.#bytes = bare;
    this.#share = bare + (memoryMax - bare) * SHARE;
    this.#shareMax = bare + (memoryMax - bare) * SHARE_MAX;
  }

  /** Whether one has to leave before another one can come. */
  get isFull(): boolean {
    return this.#waiting.length > 0 || this.#inside.size >= this.#ceiling.count;
  }

  /** Undefined when the instance can be made at once; else resolves with whether it can, which is false when the host is gone. */
  enter(tenant: Tenant): Promise<boolean> | undefined {
    if (this.#closed) return Promise.resolve(false);
    if (this.#waiting.length === 0 && this.#hasRoom()) {
      this.#take(tenant);
      return undefined;
    }
    this.#timer ??= setInterval(() => this.#letIn(), INTERVAL_MS).unref();
    return new Promise((resolve) => this.#waiting.push({ tenant, since: performance.now(), let: resolve }));
  }

  /** The instance has been made, or could not be. */
  made(): void {
    this.#making = Math.max(0, this.#making - 1);
  }

  leave(tenant: Tenant): void {
    this.#inside.delete(tenant);
  }

  /** What the host takes now. */
  seen(bytes: number): void {
    this.#bytes = bytes;
    this.#unseen = this.#making;
    if (this.#expected < this.#share) {
      this.#ceiling = { count: Infinity, bytes };
    } else if (this.#ceiling.count === Infinity) {
      this.#ceiling = { count: Math.max(INSTANCES_MIN, this.#inside.size), bytes };
    } else if (bytes > this.#ceiling.bytes + (this.#options.memoryMax - this.#share) * GROWTH) {
      const count = Math.floor(Math.min(this.#ceiling.count, this.#inside.size) * KEPT);
      this.#ceiling = { count: Math.max(INSTANCES_MIN, count), bytes };
      this.#evict(this.#inside.size - this.#ceiling.count);
    }
  }

  /** Answers with those that have not come in. */
  close(): ReadonlySet<Tenant> {
    this.#closed = true;
    clearInterval(this.#timer);
    const waiting = this.#waiting.splice(0);
    for (const waiter of waiting) waiter.let(false);
    return new Set(waiting.map(({ tenant }) => tenant));
  }

  get #expected(): number {
    return this.#bytes + this.#unseen * INSTANCE_BYTES;
  }

  #hasRoom(): boolean {
    if (this.#expected + INSTANCE_BYTES < this.#share) return true;
    this.seen(this.#options.bytes());
    if (this.#inside.size >= this.#ceiling.count) this.#evict(this.#inside.size - this.#ceiling.count + EVICTED);
    return this.#inside.size < this.#ceiling.count;
  }

  #take(tenant: Tenant): void {
    this.#inside.add(tenant);
    this.#making++;
    this.#unseen++;
  }

  #letIn(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const hasRoom = this.#hasRoom();
      if (!hasRoom && (this.#bytes > this.#shareMax || performance.now() < first.since + PATIENCE_MS)) return;
      this.#waiting.shift();
      this.#take(first.tenant);
      first.let(true);
      if (!hasRoom) return;
    }
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Those of which nobody knows whether they are ever used go first. */
  #evict(count: number): void {
    const idle = [...this.#inside].filter(({ deadlines }) => deadlines.length === 0).toSorted((a, b) => a.usedAt - b.usedAt);
    let left = count;
    for (const evenKept of [false, true]) {
      for (const tenant of idle) {
        if (left <= 0) return;
        if (!tenant.giveUp(evenKept)) continue;
        left--;
        this.#options.evicted();
      }
      if (left < count) return;
    }
  }
}
