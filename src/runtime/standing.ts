import { MillraceError } from "../core/errors.ts";
import type { Fault } from "./host/frames.ts";
import type { Place } from "./hosts.ts";
import type { Trial } from "./trial.ts";

/** What a version has to handle without harm to be trusted with others. */
const PROOF = { batches: 200, messages: 1_000 };
/** So many hosts within that time are too many. */
const KILLS = { max: 3, withinMs: 5 * 60_000 };
const QUARANTINE = { minMs: 1_000, maxMs: 5 * 60_000 };

const SHARED: Place = { kind: "shared" };
const PROBATION: Place = { kind: "probation" };
const SUSPECTS: Place = { kind: "suspects" };

interface StandingParts {
  readonly name: string;
  /** `isolation: process` of the manifest. */
  readonly alone: boolean;
  /** Whether it has proved itself before. */
  readonly proven: boolean;
  /** Whether there is an own host for it, for good. */
  hasRoom(): boolean;
  /** To be remembered beyond this process. */
  proved(proven: boolean): void;
  /** Where it runs or whether it runs has changed. */
  changed(): void;
  /** It may run again only after that time. */
  quarantined(ms: number, fault: Fault): void;
}

/** What is known of how a version of a function behaves towards its host: where its isolates belong, and whether anything of it may run. */
export class Standing {
  readonly #parts: StandingParts;
  readonly #own: Place;
  #place: Place;
  #proven: boolean;
  #batches = 0;
  #messages = 0;
  /** When it killed hosts, in milliseconds since some moment. */
  #kills: number[] = [];
  #calm: NodeJS.Timeout | undefined;
  #quarantine: { readonly fault: Fault; readonly over: PromiseWithResolvers<void>; readonly timer: NodeJS.Timeout } | undefined;
  #closed = false;

  constructor(parts: StandingParts) {
    this.#parts = parts;
    this.#own = { kind: "own", owner: parts.name, lasting: true };
    this.#proven = parts.proven;
    this.#place = this.#belongs();
  }

  /** The same object as long as it does not change. */
  get place(): Place {
    return this.#place;
  }

  /** Where an isolate of it is tried for `owner`. Whoever is to be apart from others is so on trial, too. */
  placeFor(trial: Trial, owner: object): Place {
    if (trial === "none") return this.#place;
    return trial === "together" && this.#place.kind !== "own" ? SUSPECTS : { kind: "own", owner, lasting: false };
  }

  /** Why nothing of it runs. */
  get quarantine(): Fault | undefined {
    return this.#quarantine?.fault;
  }

  /** A batch came to an end. */
  handled(messages: number): void {
    if (this.#proven || this.#kills.length > 0) return;
    this.#batches++;
    this.#messages += messages;
    if (this.#batches < PROOF.batches && this.#messages < PROOF.messages) return;
    this.#prove(true);
    this.#settle();
  }

  /** A batch had to be stopped. */
  cut(): void {
    this.#batches = 0;
    this.#messages = 0;
  }

  /** It is certain that a host died of it. */
  killedHost(fault: Fault): void {
    const now = performance.now();
    this.#kills = [...this.#kills.filter((at) => at > now - KILLS.withinMs), now];
    this.cut();
    if (this.#proven) this.#prove(false);
    clearTimeout(this.#calm);
    this.#calm = setTimeout(() => {
      this.#kills = [];
      this.#settle();
    }, KILLS.withinMs).unref();
    if (this.#kills.length >= KILLS.max && !this.#closed) this.#shutAway(fault);
    this.#settle();
  }

  /** Resolves when it may run. @throws MillraceError FUNCTION_QUARANTINED when it is stopped before */
  async passed(): Promise<void> {
    await this.#quarantine?.over.promise;
    if (this.#closed) throw new MillraceError("FUNCTION_QUARANTINED", `"${this.#parts.name}" is stopped`);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#calm);
    this.#release();
  }

  #prove(proven: boolean): void {
    this.#proven = proven;
    this.#parts.proved(proven);
  }

  #shutAway(fault: Fault): void {
    this.#release();
    const ms = Math.min(QUARANTINE.maxMs, QUARANTINE.minMs * 2 ** (this.#kills.length - KILLS.max));
    const over = () => {
      this.#release();
      this.#parts.changed();
    };
    this.#quarantine = { fault, over: Promise.withResolvers(), timer: setTimeout(over, ms).unref() };
    this.#parts.quarantined(ms, fault);
  }

  #release(): void {
    const ended = this.#quarantine;
    this.#quarantine = undefined;
    clearTimeout(ended?.timer);
    ended?.over.resolve();
  }

  #settle(): void {
    const place = this.#belongs();
    if (place === this.#place) return;
    this.#place = place;
    this.#parts.changed();
  }

  #belongs(): Place {
    if (this.#parts.alone || (this.#kills.length > 0 && this.#parts.hasRoom())) return this.#own;
    return this.#proven ? SHARED : PROBATION;
  }
}
