import { defineFunction, type FunctionContext, PermanentError } from "millrace";

/** One minute of one device, as far as its values have come. */
interface Minute {
  /** Seconds since the epoch. */
  readonly start: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  readonly count: number;
}

const MINUTE_SECONDS = 60;
/** A time further ahead of the gateway's is a wrong clock or a wrong unit; accepted, it would make everything after it late. */
const AHEAD_SECONDS_MAX = 86_400;

export default defineFunction({
  async handler(event, ctx) {
    const { device = "" } = event.params;
    const { v, t } = readReading(event.data, ctx.now());
    const start = Math.floor(t / MINUTE_SECONDS) * MINUTE_SECONDS;
    const open = await ctx.state.get<Minute>("minute");
    if (open !== undefined && start < open.start) {
      ctx.log.warn(`a value of ${device} is late and ignored`, { t, minute: open.start });
      return;
    }
    if (open !== undefined && start > open.start) emitMinute(ctx, device, open);
    ctx.state.set("minute", open?.start === start ? withValue(open, v) : { start, sum: v, min: v, max: v, count: 1 });
  },
});

function withValue({ start, sum, min, max, count }: Minute, v: number): Minute {
  return { start, sum: sum + v, min: Math.min(min, v), max: Math.max(max, v), count: count + 1 };
}

function emitMinute(ctx: FunctionContext, device: string, { start, sum, min, max, count }: Minute): void {
  // Nine significant digits: the binary rest of a long sum is noise.
  const mean = Number((sum / count).toPrecision(9));
  ctx.emit("measurement.minute", { n: `${device}:temperature`, u: "Cel", v: mean, min, max, count, t: start }, { subject: device });
}

/** `{"v": 21.5, "t": 1700000000}` with or without `t`, or the bare number; `t` in seconds since the epoch. */
function readReading(data: unknown, nowMs: number): { v: number; t: number } {
  const now = nowMs / 1_000;
  const { v, t = now } = (typeof data === "object" && data !== null ? data : { v: data }) as { v?: unknown; t?: unknown };
  if (typeof v !== "number" || !Number.isFinite(v))
    throw new PermanentError(`the payload has no number "v" and is none: ${JSON.stringify(data)}`);
  if (typeof t !== "number" || !Number.isFinite(t)) throw new PermanentError(`"t" is ${JSON.stringify(t)}, not seconds since the epoch`);
  if (t > now + AHEAD_SECONDS_MAX) throw new PermanentError(`"t" is ${t}, more than a day ahead; it counts seconds since the epoch`);
  return { v, t };
}
