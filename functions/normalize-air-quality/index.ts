import { defineFunction, type Measurement, PermanentError } from "millrace";

/** How one column of the station becomes a measurement. */
interface Channel {
  readonly name: string;
  /** From the SenML units registry (RFC 8428 and RFC 8798); `/` where the station states none. */
  readonly unit: string;
  /** What turns the station's unit into `unit`; default: they are the same. */
  readonly convert?: (value: number) => number;
}

/** The columns of the UCI "Air Quality" data set: CO in mg/m3, NOx in ppb, the other gases in ug/m3, `PT08` the raw sensor answers. */
const CHANNELS: ReadonlyMap<string, Channel> = new Map<string, Channel>([
  ["CO(GT)", { name: "co", unit: "ug/m3", convert: (mg) => mg * 1_000 }],
  ["PT08.S1(CO)", { name: "co-raw", unit: "/" }],
  ["NMHC(GT)", { name: "nmhc", unit: "ug/m3" }],
  ["C6H6(GT)", { name: "benzene", unit: "ug/m3" }],
  ["PT08.S2(NMHC)", { name: "nmhc-raw", unit: "/" }],
  ["NOx(GT)", { name: "nox", unit: "ppm", convert: (ppb) => ppb / 1_000 }],
  ["PT08.S3(NOx)", { name: "nox-raw", unit: "/" }],
  ["NO2(GT)", { name: "no2", unit: "ug/m3" }],
  ["PT08.S4(NO2)", { name: "no2-raw", unit: "/" }],
  ["PT08.S5(O3)", { name: "o3-raw", unit: "/" }],
  ["T", { name: "temperature", unit: "Cel" }],
  ["RH", { name: "humidity", unit: "%RH" }],
  ["AH", { name: "absolute-humidity", unit: "/" }],
]);

/** What the station sends where it has no value. */
const MISSING = -200;

export default defineFunction({
  handler(event, ctx) {
    const { device = "" } = event.params;
    checkName(device);
    const row = readRow(event.data);
    const t = readTime(row);
    for (const measurement of measurementsOf(row, device, t)) ctx.emit("measurement", measurement, { subject: device });
  },
});

type Row = Readonly<Record<string, unknown>>;

/** Names in SenML have these characters only (RFC 8428, section 4.5.1). */
function checkName(device: string): void {
  if (!/^[A-Za-z0-9][A-Za-z0-9:./_-]*$/.test(device)) throw new PermanentError(`"${device}" cannot be part of a SenML name`);
}

function readRow(data: unknown): Row {
  if (typeof data !== "object" || data === null || Array.isArray(data)) throw new PermanentError("the payload is not a JSON object");
  const row = data as Row;
  if (![...CHANNELS.keys()].some((column) => Object.hasOwn(row, column)))
    throw new PermanentError("no column of an air-quality station is there");
  return row;
}

/** `Date` and `Time`, taken as UTC, in seconds since the epoch. */
function readTime({ Date: date, Time: time }: Row): number {
  const [, year, month, day] = numbers(/^(\d{4})-(\d{2})-(\d{2})$/, date, "Date");
  const [, hour, minute, second] = numbers(/^(\d{1,2}):(\d{2}):(\d{2})$/, time, "Time");
  const at = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  // Date.UTC carries over: the 30th of February would become a day in March.
  const same = at.getUTCMonth() === month - 1 && at.getUTCDate() === day && at.getUTCHours() === hour && minute < 60 && second < 60;
  if (!same) throw new PermanentError(`there is no time "${String(date)} ${String(time)}"`);
  return at.getTime() / 1_000;
}

function numbers(pattern: RegExp, text: unknown, column: string): [number, number, number, number] {
  const match = typeof text === "string" ? pattern.exec(text) : null;
  if (match === null)
    throw new PermanentError(`column "${column}" is ${JSON.stringify(text) ?? "missing"}, not such as 2004-03-10 or 18:00:00`);
  const [, first, second, third] = match.map(Number);
  return [0, first ?? 0, second ?? 0, third ?? 0];
}

function measurementsOf(row: Row, device: string, t: number): Measurement[] {
  // All columns are read before anything is emitted, so a row counts as a whole or not at all.
  return [...CHANNELS].flatMap(([column, { name, unit, convert }]) => {
    const value = readValue(row[column], column);
    if (value === undefined || value === MISSING) return [];
    return [{ n: `${device}:${name}`, u: unit, v: decimal(convert === undefined ? value : convert(value)), t }];
  });
}

/** Undefined where there is no value. */
function readValue(value: unknown, column: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") {
    const text = value.trim();
    if (text === "") return undefined;
    if (/^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) && Number.isFinite(Number(text))) return Number(text);
  }
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new PermanentError(`column "${column}" is ${JSON.stringify(value)}, not a number`);
}

/** Nine significant digits, more than the station has: 0.166 stays 0.166 after its unit was changed in binary. */
function decimal(value: number): number {
  return Number(value.toPrecision(9));
}
