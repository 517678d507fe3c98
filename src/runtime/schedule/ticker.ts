import type { Clock } from "../../core/clock.ts";
import { MillraceError, messageOf } from "../../core/errors.ts";
import type { Logger } from "../../core/log.ts";
import { encodeMessage } from "../../core/message.ts";
import { readSchedule, type Schedule } from "../../core/schedule.ts";
import { scheduleTopic } from "../../core/trigger-filters.ts";
import type { ScheduleTrigger } from "../../core/triggers.ts";
import type { Derived } from "../derived.ts";
import type { LogRing } from "../logs.ts";
import type { Wake } from "../route.ts";
import { dueAt, LATE_MS_MAX, type Progress, type Tick } from "./due.ts";

/** How far a schedule has come, as the journal keeps it. */
interface TickMark extends Progress {
  readonly function: string;
  readonly name: string;
  readonly schedule: string;
}

/** What schedules need of the journal. */
export interface TickJournal {
  /** Whether it takes no new messages for now. */
  readonly held: boolean;
  mark(functionName: string, name: string): TickMark | undefined;
  keep(functionName: string, marks: readonly TickMark[]): Promise<void>;
  append(entry: Derived | undefined, mark: TickMark, done: (error?: Error) => void): void;
}

interface TickerParts {
  readonly clock: Clock;
  readonly ticks: TickJournal;
  readonly logs: LogRing;
  readonly logger: Logger;
  wakes(topic: string): Wake;
}

export interface TickerOwner {
  readonly function: string;
  readonly version: number;
  readonly trigger: ScheduleTrigger;
}

/** One schedule of one function at work. */
export class Ticker {
  readonly #owner: TickerOwner;
  readonly #parts: TickerParts;
  readonly #schedule: Schedule;
  readonly #topic: string;
  #mark: TickMark;
  /** Nothing is to be done while the clock is from `from` on and before `next`. */
  #quiet = { from: Infinity, next: -Infinity };
  #writing = false;

  /** @throws MillraceError MANIFEST_INVALID when the schedule cannot be read */
  constructor(owner: TickerOwner, parts: TickerParts, now: number) {
    const { trigger } = owner;
    const schedule = readSchedule(trigger.schedule, trigger.timezone);
    if ("problem" in schedule) throw new MillraceError("MANIFEST_INVALID", schedule.problem);
    this.#owner = owner;
    this.#parts = parts;
    this.#schedule = schedule;
    this.#topic = scheduleTopic(owner.function, trigger.name);
    const text = `${trigger.schedule} ${trigger.timezone}`;
    const known = parts.ticks.mark(owner.function, trigger.name);
    const fresh = { function: owner.function, name: trigger.name, schedule: text, last: now, missed: 0 };
    this.#mark = known?.schedule === text ? known : fresh;
  }

  get mark(): TickMark {
    return this.#mark;
  }

  /** Puts what is due into the journal, and calls `again` when that is there. Answers with the time at which to look again. */
  look(now: number, again: () => void): number {
    if (this.#writing || this.#parts.ticks.held) return Infinity;
    if (now >= this.#quiet.from && now < this.#quiet.next) return this.#quiet.next;
    const { catchUp, catchUpMax } = this.#owner.trigger;
    const { ticks, progress } = dueAt(this.#schedule, this.#mark, { now, catchUp, catchUpMax });
    if (ticks.length > 0 || progress !== this.#mark) {
      this.#write(ticks, { ...this.#mark, ...progress }, again);
      return Infinity;
    }
    const { last } = progress;
    const next = this.#schedule.next(last) ?? Infinity;
    this.#quiet = { from: 2 * last - next, next };
    return next;
  }

  #write(ticks: readonly Tick[], reached: TickMark, again: () => void): void {
    const { ticks: journal, logger } = this.#parts;
    const before = this.#mark;
    this.#writing = true;
    const wanted = this.#parts.wakes(this.#topic) !== "none";
    const marks = ticks.length === 0 ? [reached] : ticks.map(({ due }) => ({ ...reached, last: due }));
    for (const [index, mark] of marks.entries()) {
      const tick = ticks[index];
      journal.append(tick !== undefined && wanted ? this.#entry(tick) : undefined, mark, (error) => {
        if (error !== undefined) logger.error({ function: this.#owner.function, error: messageOf(error) }, "a tick cannot be written");
        if (index < marks.length - 1) return;
        this.#writing = false;
        this.#mark = error === undefined ? reached : before;
        if (error === undefined) again();
      });
    }
    // A disk that is slow for a moment need not fill the log.
    if (this.#parts.clock.now() - before.last > LATE_MS_MAX) this.#tell(ticks, reached);
  }

  #entry({ due, missed }: Tick): Derived {
    const payload = Buffer.from(JSON.stringify({ name: this.#owner.trigger.name, due: new Date(due).toISOString(), missed }));
    const about = { topic: this.#topic, time: due, hops: 0 };
    const properties = { contentType: "application/json" };
    return { ...about, record: encodeMessage({ ...about, payload, qos: 1, retain: false, source: "schedule", properties }) };
  }

  #tell(ticks: readonly Tick[], reached: TickMark): void {
    const missed = (ticks[0]?.missed ?? 0) + reached.missed;
    if (missed === 0) return;
    const { function: name, version, trigger } = this.#owner;
    const made = ticks.length === 0 ? "" : `; ${ticks.length} made up for`;
    const message = `schedule "${trigger.name}" (${trigger.schedule}): ${missed} ticks were missed${made}`;
    this.#parts.logs.add({ level: "warn", function: name, version, message });
  }
}
