import { MillraceError } from "../../core/errors.ts";
import { suggestion } from "../../core/nearest.ts";
import type { CsvRow } from "./rows.ts";

const ISO = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:\s*(Z|[+-]\d\d:?\d\d))?)?$/;
const EPOCH = /^\d{9,16}(?:\.\d+)?$/;
/** Plain numbers above this are milliseconds: as seconds they would lie beyond the year 5100. */
const SECONDS_MAX = 100_000_000_000;

/**
 * `2004-03-10 18:00:00`, with `T` or a space, a fraction and a zone if there is one (UTC if not), or seconds or milliseconds since the epoch.
 * Returns milliseconds since the epoch, undefined when the text is no time.
 */
export function parseTime(text: string): number | undefined {
  if (EPOCH.test(text)) {
    const number = Number(text);
    return number > SECONDS_MAX ? number : number * 1000;
  }
  const match = ISO.exec(text);
  if (match === null) return undefined;
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1, 7).map((part) => Number(part ?? 0));
  const midnight = new Date(Date.UTC(year, month - 1, day));
  // Date.UTC takes the 30th of February for the 1st of March.
  if (midnight.getUTCMonth() !== month - 1 || midnight.getUTCDate() !== day) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const fractionMs = Number(`0.${match[7] ?? "0"}`) * 1000;
  return midnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1000 + fractionMs - zoneMs(match[8]);
}

function zoneMs(zone: string | undefined): number {
  if (zone === undefined || zone === "Z") return 0;
  const digits = zone.replace(":", "");
  const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5));
  return (digits.startsWith("-") ? -minutes : minutes) * 60_000;
}

/**
 * Makes the function that reads when a row was recorded, from one column or from several joined by a space.
 * @throws MillraceError CSV_INVALID for an unknown column; the function throws it for a cell that is no time, naming the line.
 */
export function timeReader(file: string, columns: readonly string[], names: readonly string[]): (row: CsvRow) => number {
  const indexes = names.map((name) => {
    const index = columns.indexOf(name);
    if (index < 0)
      throw new MillraceError("CSV_INVALID", `${file}:1: --time names "${name}", which is no column${suggestion(name, columns)}`);
    return index;
  });
  return (row) => {
    const text = indexes
      .map((index) => row.cells[index] ?? "")
      .join(" ")
      .trim();
    const time = parseTime(text);
    if (time !== undefined) return time;
    throw new MillraceError(
      "CSV_INVALID",
      `${file}:${row.line}: "${text.slice(0, 80)}" in ${names.join(", ")} is no time; expected 2004-03-10 18:00:00 or seconds since the epoch`,
    );
  };
}
