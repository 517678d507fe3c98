/** Batches that a host has at a time when several functions want it. What waits meanwhile makes larger batches. */
const BATCHES_MAX = 8;
/** Of these so many may be long ones: the others are for those that take no time worth speaking of. */
const LONG_MAX = 3;
/** A batch that is expected to take more is a long one. */
const LONG_MS = 0.5;
/** What a function gets at a time when others want the host too. */
const SLICE_MS = 2;
/** Somebody else who wanted the host that lately may be back at once. */
const COMPANY_MS = 1_000;
/**
 * A batch without an answer after that time waits for something, or computes for so long that the others have to run beside it: it does not count
 * any more.
 */
const PATIENCE_MS = 10;
/** The same where only one at a time is wanted, so that few are under way when the host dies. */
const ALONE_PATIENCE_MS = 50;
/** What a batch costs beside what its function computes. */
const BATCH_COST_MS = 0.05;

/** Who asks for a turn. */
export interface Asker {
  /** It may ask again, now. Does nothing when it does not want to any more. */
  turn(): void;
}

/** One function in a host, with all of its instances there. */
interface Member {
  readonly name: string;
  instances: number;
  /** Milliseconds of the host that it has had, or has been counted as if it had. */
  virtualMs: number;
  underWay: number;
  /** Of its batches under way those that count. */
  counted: number;
  readonly waiting: Set<FairTurns>;
}

interface Batch {
  readonly member: Member;
  readonly sentAt: number;
  readonly expectedMs: number;
  readonly isLong: boolean;
  counts: boolean;
}

export interface Gate {
  /** False while functions have handled more than can be written for now; `serve` follows. */
  readonly isOpen: boolean;
}

/**
 * Who may use a host next: the function that has had the least of its time. One that wants nothing for a while gains nothing by that: it begins
 * again where the others are. As long as there is room nobody waits, and a function that is alone gets as much as it likes.
 */
export class FairQueue {
  readonly #gate: Gate;
  readonly #now: () => number;
  readonly #members = new Map<string, Member>();
  /** Members that somebody waits for. */
  readonly #waiting = new Set<Member>();
  /** What is under way, the oldest first. */
  readonly #batches = new Set<Batch>();
  #counted = 0;
  #long = 0;
  /** The virtual time of whoever was served last: nobody who comes new is behind it. */
  #virtualMs = 0;
  #last: Member | undefined;
  /** It has its turn. */
  #served: Member | undefined;
  /** It was found to be next, and nobody has asked since. */
  #chosen: Member | undefined;
  #companyUntil = -Infinity;
  #isOneByOne = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(gate: Gate, now: () => number = () => performance.now()) {
    this.#gate = gate;
    this.#now = now;
  }

  /** From now on one batch at a time, also of one function, as far as nobody waits for long because of that. */
  oneByOne(): void {
    this.#isOneByOne = true;
  }

  /** For an instance of the function `name`. */
  join(name: string, asker: Asker): FairTurns {
    const member = this.#members.get(name) ?? {
      name,
      instances: 0,
      virtualMs: this.#virtualMs,
      underWay: 0,
      counted: 0,
      waiting: new Set(),
    };
    member.instances++;
    this.#members.set(name, member);
    return new FairTurns(this, member, asker);
  }

  /** Those who wait get their turn, as far as there is room. To be called when there is more of it. */
  serve(): void {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const [turns] = next.waiting;
      if (turns === undefined) throw new Error("a function waits with nobody who asked");
      this.#leave(turns);
      this.#served = next;
      this.#chosen = next;
      turns.asker.turn();
    }
    this.#served = undefined;
    this.#chosen = undefined;
    this.#watch();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.clear();
  }

  /** Milliseconds that it may take now; 0 when it has to wait. */
  ask(turns: FairTurns, wantedMs: number): number {
    const { member } = turns;
    const now = this.#now();
    if (this.#last !== undefined && this.#last !== member) this.#companyUntil = now + COMPANY_MS;
    const company = now < this.#companyUntil || this.#waiting.size > 0;
    turns.isLong = wantedMs > LONG_MS;
    const isNew = member.underWay === 0 && this.#served !== member && !this.#waiting.has(member);
    if (isNew) member.virtualMs = Math.max(member.virtualMs, this.#virtualMs);
    const isNext = this.#chosen === member;
    this.#chosen = undefined;
    if (this.#hasRoom(member, turns.isLong) && (isNext || !this.#isBehind(member))) {
      this.#leave(turns);
      return company ? SLICE_MS : Infinity;
    }
    member.waiting.add(turns);
    this.#waiting.add(member);
    this.#watch();
    return 0;
  }

  begin(member: Member, expectedMs: number): Batch {
    const cost = expectedMs + BATCH_COST_MS;
    const batch: Batch = { member, sentAt: this.#now(), expectedMs: cost, isLong: expectedMs > LONG_MS, counts: true };
    this.#batches.add(batch);
    this.#counted++;
    member.counted++;
    if (batch.isLong) this.#long++;
    this.#virtualMs = Math.max(this.#virtualMs, member.virtualMs);
    this.#last = member;
    member.virtualMs += cost;
    member.underWay++;
    return batch;
  }

  /** `usedMs` as its host has it, which runs code of users: more than has gone by it cannot be. Whoever waits is served by `serve`. */
  end(batch: Batch, usedMs: number): void {
    const { member } = batch;
    const used = Math.min(Math.max(0, usedMs), this.#now() - batch.sentAt) + BATCH_COST_MS;
    member.virtualMs = Math.max(0, member.virtualMs + used - batch.expectedMs);
    member.underWay--;
    this.#batches.delete(batch);
    this.#discount(batch);
  }

  /** The instance is gone. */
  part(turns: FairTurns): void {
    const { member } = turns;
    this.#leave(turns);
    if (--member.instances === 0 && this.#members.get(member.name) === member) this.#members.delete(member.name);
    if (this.#last === member && member.instances === 0) this.#last = undefined;
  }

  #leave(turns: FairTurns): void {
    const { member } = turns;
    if (member.waiting.delete(turns) && member.waiting.size === 0) this.#waiting.delete(member);
  }

  #hasRoom(member: Member, isLong: boolean): boolean {
    if (!this.#gate.isOpen) return false;
    if (this.#isOneByOne) return this.#counted === 0;
    // Whoever is alone has only its own bounds.
    if (this.#counted === member.counted && this.#waiting.size === (this.#waiting.has(member) ? 1 : 0)) return true;
    return this.#counted < BATCHES_MAX && (!isLong || this.#long < LONG_MAX);
  }

  /** Whether somebody waits for whom there is room, and who has had less. */
  #isBehind(member: Member): boolean {
    if (this.#waiting.size === 0) return false;
    const next = this.#next();
    return next !== undefined && next !== member && next.virtualMs < member.virtualMs;
  }

  #next(): Member | undefined {
    // Then nobody has room, and there may be a hundred to ask.
    if (this.#counted >= BATCHES_MAX && this.#waiting.size > 1) return undefined;
    let next: Member | undefined;
    for (const member of this.#waiting) {
      if (next !== undefined && next.virtualMs <= member.virtualMs) continue;
      const [first] = member.waiting;
      if (first !== undefined && this.#hasRoom(member, first.isLong)) next = member;
    }
    return next;
  }

  #discount(batch: Batch): void {
    if (!batch.counts) return;
    batch.counts = false;
    this.#counted--;
    batch.member.counted--;
    if (batch.isLong) this.#long--;
  }

  /** Sees to it that nobody waits for a batch that has no answer for long. */
  #watch(): void {
    if (this.#waiting.size === 0 || this.#timer !== undefined) return;
    const now = this.#now();
    let oldest: Batch | undefined;
    for (const batch of this.#batches) {
      if (!batch.counts) continue;
      oldest = batch;
      break;
    }
    if (oldest === undefined) return;
    const patienceMs = this.#isOneByOne ? ALONE_PATIENCE_MS : PATIENCE_MS;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        const late = this.#now() - patienceMs;
        for (const batch of this.#batches) if (batch.sentAt <= late) this.#discount(batch);
        this.serve();
      },
      Math.max(1, oldest.sentAt + patienceMs - now),
    ).unref();
  }
}

/** The turns of one instance. */
export class FairTurns {
  readonly member: Member;
  readonly asker: Asker;
  /** Whether what it wants next is long. */
  isLong = false;
  readonly #queue: FairQueue;
  readonly #underWay: Batch[] = [];
  #parted = false;

  constructor(queue: FairQueue, member: Member, asker: Asker) {
    this.#queue = queue;
    this.member = member;
    this.asker = asker;
  }

  /** How many milliseconds may be sent now, of `wantedMs` that are there. 0 when it has to wait: `turn` of its asker follows. */
  ask(wantedMs: number): number {
    return this.#parted ? 0 : this.#queue.ask(this, wantedMs);
  }

  /** A batch is sent, whether it was asked for or not. */
  begin(expectedMs: number): void {
    this.#underWay.push(this.#queue.begin(this.member, expectedMs));
  }

  /** The oldest batch is answered. `serve` of the queue is to follow. */
  end(usedMs: number): void {
    const batch = this.#underWay.shift();
    if (batch !== undefined) this.#queue.end(batch, usedMs);
  }

  /** There will be no more answers. `serve` of the queue is to follow. */
  part(): void {
    if (this.#parted) return;
    this.#parted = true;
    for (const batch of this.#underWay.splice(0)) this.#queue.end(batch, Infinity);
    this.#queue.part(this);
  }
}
