import { backoffMs } from "../core/clock.ts";
import { MillraceError } from "../core/errors.ts";
import type { InstanceEvents, InstanceHandle, Loss } from "./guarded-host.ts";
import type { Fault } from "./host/frames.ts";
import type { LaneOwner } from "./lane-owner.ts";
import { isTriedIn, type Trial } from "./trial.ts";

const LOAD_BACKOFF = { minMs: 10, maxMs: 10_000 };

interface InstanceListener {
  result(batch: number, results: Buffer, usedMs: number): void;
  cut(batch: number, cut: { fault: Fault; finished: number; elapsedMs: number; results: Buffer }): void;
  lost(loss: Loss): void;
  /** The function stops before something can be read that is needed for what is under way. */
  unread(): void;
  /** There may be room in its host for what it was refused. */
  turn(): void;
  /** Its host needs the room: drops it if it is of no use now and, unless `evenKept`, is not to be kept. */
  giveUp(evenKept: boolean): void;
  /** There is one again, or another one. */
  ready(): void;
}

/** An isolate in the making, or made. */
interface Made {
  readonly trial: Trial;
  readonly place: unknown;
  handle: InstanceHandle | undefined;
  hasAnswered: boolean;
  heapBytes: number;
  /** Its question about state that is being answered; those behind it wait, so that what it is answered with is in memory once. */
  asking: Promise<void>;
}

type InstanceOwner = Pick<LaneOwner, "load" | "loadFailed" | "loadState" | "killedHost" | "starts" | "place">;

/** The isolate of a lane: made, listened to, moved to where it belongs, and made anew when it is lost. */
export class Instance {
  readonly #owner: InstanceOwner;
  readonly #listener: InstanceListener;
  #made: Made | undefined;
  /** It is to take the place of the other as soon as nothing is under way. */
  #next: Made | undefined;
  #trial: Trial = "none";
  /** There are never two attempts at a time, or the lane would have two isolates. */
  #loading = false;
  /** Whether an attempt that fails is to be followed by another. */
  #wanted = false;
  #closed = false;
  #loadAttempts = 0;
  #retry: NodeJS.Timeout | undefined;
  /** What came from it while results could not be settled yet. */
  #unheard: (() => void)[] | undefined;

  constructor(owner: InstanceOwner, listener: InstanceListener) {
    this.#owner = owner;
    this.#listener = listener;
  }

  /** Undefined as long as there is none. */
  get handle(): InstanceHandle | undefined {
    return this.#made?.handle;
  }

  /** As its host has looked at it last; 0 as long as it has not. */
  get heapBytes(): number {
    return this.#made?.heapBytes ?? 0;
  }

  /** It has answered a batch, for which it has computed so long, as its host has it. */
  answered(usedMs: number): void {
    if (this.#made === undefined || this.#made.hasAnswered) return;
    this.#made.hasAnswered = true;
    this.#owner.starts.firstCall(usedMs);
  }

  /** Where it is on trial. */
  get trial(): Trial {
    return this.#made?.trial ?? "none";
  }

  /** Whether it is where it does not belong (any more). */
  get #isMisplaced(): boolean {
    return this.#made !== undefined && (this.#made.trial !== "none" || this.#made.place !== this.#owner.place);
  }

  /** @throws MillraceError FUNCTION_LOAD_FAILED, HOST_CRASHED, HOSTS_TAKEN */
  async warm(): Promise<void> {
    this.#loading = true;
    try {
      await this.#make("none");
    } finally {
      this.#loading = false;
      if (this.#wanted) this.recover();
    }
    this.#listener.ready(); // The function may have started meanwhile, because another of its lanes did not load.
  }

  /** Makes one as soon as that succeeds, however long it takes, unless there is one or it is being made. */
  want(trial: Trial): void {
    if (!this.#loading && this.#made === undefined) this.#trial = trial;
    this.recover();
  }

  /** As `want`, where it was wanted last; also when the attempt of `warm` is still under way and fails. */
  recover(): void {
    this.#wanted = true;
    if (this.#made === undefined && !this.#closed && !this.#loading) void this.#reload();
  }

  /** Gives it up for a new one, on trial or where the function belongs. */
  replace(trial: Trial): void {
    this.#unload();
    this.#trial = trial;
    this.recover();
  }

  /** Gives it up; there is none until it is wanted. Nothing may be under way. */
  drop(): void {
    this.#wanted = false;
    this.#unload();
  }

  /**
   * Sees to it that it is where it has to be for what comes next, which is to be tried so. False while nothing may be sent because of that; some of it waits
   * until nothing is under way.
   */
  arrange(trial: Trial, isAtRest: boolean): boolean {
    if (this.handle !== undefined && !isTriedIn(trial, this.trial)) {
      if (isAtRest) this.replace(trial);
      return false;
    }
    if (this.#next?.handle !== undefined) {
      if (!isAtRest) return false;
      this.#move();
    } else if (this.#isMisplaced && trial === "none") {
      this.#prepareNext();
    }
    return true;
  }

  /** Makes another one where it belongs. `ready` follows. */
  #prepareNext(): void {
    if (this.#next !== undefined || this.#retry !== undefined || this.#closed) return;
    const next: Made = {
      trial: "none",
      place: this.#owner.place,
      handle: undefined,
      hasAnswered: false,
      heapBytes: 0,
      asking: Promise.resolve(),
    };
    this.#next = next;
    void this.#prepare(next);
  }

  async #prepare(next: Made): Promise<void> {
    try {
      await this.#load(next, () => this.#next === next);
      this.#loadAttempts = 0;
      this.#listener.ready();
    } catch (error) {
      // It goes on where it is, and tries again.
      if (this.#next === next) this.#next = undefined;
      if (this.#closed) return;
      this.#owner.loadFailed(error);
      const retry = (): void => {
        this.#retry = undefined;
        this.#listener.ready();
      };
      this.#retry = setTimeout(retry, backoffMs(++this.#loadAttempts, LOAD_BACKOFF)).unref();
    }
  }

  /** The one that was prepared takes over. Nothing may be under way. */
  #move(): void {
    const next = this.#next;
    this.#next = undefined;
    this.#unload();
    this.#made = next;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#unload();
  }

  /** Calls `settle` when `preparing` is through, and holds back what the instance says until then. */
  settleAfter(preparing: Promise<void> | undefined, settle: () => void): void {
    if (preparing === undefined) return settle();
    this.#unheard = [];
    const go = (): void => {
      const events = this.#unheard ?? [];
      this.#unheard = undefined;
      settle();
      for (const event of events) this.#inTurn(event);
    };
    preparing.then(go, () => {
      this.#unheard = undefined;
      this.#listener.unread();
    });
  }

  #unload(): void {
    this.#made?.handle?.unload();
    this.#next?.handle?.unload();
    this.#made = undefined;
    this.#next = undefined;
  }

  async #make(trial: Trial): Promise<void> {
    const made: Made = { trial, place: this.#owner.place, handle: undefined, hasAnswered: false, heapBytes: 0, asking: Promise.resolve() };
    await this.#load(made, () => this.#made === undefined);
    if (made.handle !== undefined) this.#made = made;
  }

  async #load(made: Made, isWanted: () => boolean): Promise<void> {
    const handle = await this.#owner.load(this.#events(made), made.trial, this);
    if (this.#closed || !isWanted()) handle.unload();
    else made.handle = handle;
  }

  #events(made: Made): InstanceEvents {
    return {
      result: (id, results, usedMs) => this.#inTurn(() => this.#listener.result(id, results, usedMs)),
      heap: (bytes) => void (made.heapBytes = bytes),
      turn: () => {
        if (made === this.#made) this.#listener.turn();
      },
      giveUp: (evenKept) => {
        if (made === this.#made) this.#listener.giveUp(evenKept);
      },
      cut: (id, cut) => this.#inTurn(() => this.#listener.cut(id, cut)),
      lost: (loss) => this.#lost(made, loss),
      // What was held back belongs to the state that is asked for.
      stateGet: (request, keys) => this.#inTurn(() => this.#stateGet(made, request, keys)),
    };
  }

  #stateGet(made: Made, request: number, keys: readonly string[]): void {
    made.asking = this.#answer(made, request, keys);
  }

  async #answer(made: Made, request: number, keys: readonly string[]): Promise<void> {
    await made.asking;
    // Nobody waits for it any more.
    if (made !== this.#made && made !== this.#next) return;
    try {
      const entries = await this.#owner.loadState(keys);
      made.handle?.stateLoaded(request, entries);
    } catch {
      this.#inTurn(() => this.#listener.unread());
    }
  }

  #lost(made: Made, loss: Loss): void {
    if (loss.guilt === "certain") this.#owner.killedHost(loss.fault);
    if (made === this.#next) this.#next = undefined;
    else if (made === this.#made) this.#inTurn(() => this.#listener.lost(loss));
  }

  /** What an instance says is taken in order; while its results cannot be settled yet, the rest waits. */
  #inTurn(event: () => void): void {
    if (this.#unheard === undefined) event();
    else this.#unheard.push(event);
  }

  async #reload(): Promise<void> {
    this.#loading = true;
    while (!this.#closed && this.#made === undefined) {
      try {
        await this.#make(this.#trial);
        this.#loadAttempts = 0;
      } catch (error) {
        if (this.#closed) break;
        // Whether it died of this code or of something else in there is to be seen where there is nothing else; many may have to see that.
        const hasCrashed = error instanceof MillraceError && error.code === "HOST_CRASHED";
        if (hasCrashed) this.#trial = this.#trial === "none" ? "together" : "alone";
        this.#owner.loadFailed(error);
        const wait = backoffMs(++this.#loadAttempts, LOAD_BACKOFF);
        await new Promise<void>((resolve) => setTimeout(resolve, wait).unref());
      }
    }
    this.#loading = false;
    this.#listener.ready();
  }
}
