import { Cron } from "croner";
import { suggestion } from "./nearest.ts";
import { formatDuration, parseDuration } from "./units.ts";

/** The times at which something is due, in milliseconds since the epoch. */
export interface Schedule {
  /** The first one after `time`; undefined when there is none any more. */
  next(time: number): number | undefined;
  /** The newest one at or before `time`; undefined when there was none. */
  last(time: number): number | undefined;
}

const EVERY_MS = { min: 100, max: 366 * 86_400_000 };
const CRON_FIELDS = ["minute", "hour", "day of the month", "month", "day of the week"];

/**
 * Reads `every 10s`, or cron with five fields. The times of `every` are the multiples of the period since the epoch, so a restart does not shift
 * them. What is wrong is answered as text.
 */
export function readSchedule(text: string, timezone: string): Schedule | { readonly problem: string } {
  const zone = zoneProblem(timezone);
  if (zone !== undefined) return { problem: zone };
  return /^every\b/i.test(text.trim()) ? readEvery(text) : readCron(text, timezone);
}

/** Why this is no name of a time zone, or undefined when it is. */
export function zoneProblem(timezone: string): string | undefined {
  const isOffset = /^[+-]/.test(timezone);
  try {
    const { timeZone } = Intl.DateTimeFormat("en", { timeZone: timezone }).resolvedOptions();
    if (!isOffset && timeZone !== "") return undefined;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  const known = ["UTC", ...Intl.supportedValuesOf("timeZone")];
  const same = known.find((name) => name.toLowerCase().endsWith(`/${timezone.toLowerCase()}`));
  const near = same === undefined ? suggestion(timezone, known) : `; did you mean "${same}"?`;
  return `"${timezone}" is not a time zone of the IANA data base${near === "" ? ', such as "Europe/Rome" or "UTC"' : near}`;
}

function readEvery(text: string): Schedule | { readonly problem: string } {
  const [, amount = ""] = /^\s*every\s*(.*?)\s*$/i.exec(text) ?? [];
  const ms = parseDuration(amount);
  if (ms === undefined || text !== `every ${amount}`) {
    const repaired = /^(\d+(?:\.\d+)?)\s*([a-z])[a-z]*$/i.exec(amount);
    const near = `${repaired?.[1] ?? ""}${repaired?.[2]?.toLowerCase() ?? ""}`;
    return { problem: `"${text}" is not "every" and a duration; try "every ${parseDuration(near) === undefined ? "10s" : near}"` };
  }
  if (ms < EVERY_MS.min || ms > EVERY_MS.max) {
    return { problem: `"${text}" is out of bounds: ${formatDuration(EVERY_MS.min)} to ${formatDuration(EVERY_MS.max)} are allowed` };
  }
  return { next: (time) => (Math.floor(time / ms) + 1) * ms, last: (time) => Math.floor(time / ms) * ms };
}

function readCron(text: string, timezone: string): Schedule | { readonly problem: string } {
  const fields = text.trim().split(/\s+/);
  if (fields.length !== CRON_FIELDS.length) {
    const rule = `cron has five fields (${CRON_FIELDS.join(", ")}), this has ${fields.length}`;
    return { problem: `"${text}": ${rule}; try "*/5 * * * *" or "every 5m"` };
  }
  try {
    const cron = new Cron(text.trim(), { timezone, mode: "5-part", paused: true });
    // It looks several years ahead, so what it does not find there never comes.
    if (cron.nextRun(new Date(0)) === null)
      return { problem: `"${text}" never fires: no month that it names has such a day; "L" is the last day of each` };
    return {
      next: (time) => cron.nextRun(new Date(time))?.getTime(),
      // The library looks before a time, in whole seconds.
      last: (time) => cron.previousRuns(1, new Date(Math.floor(time / 1_000) * 1_000 + 1_000))[0]?.getTime(),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message.replace(/^CronPattern: /, "") : String(error);
    return { problem: `"${text}" is not cron: ${reason}` };
  }
}
