import { defineFunction, type FunctionContext, PermanentError } from "millrace";
import { tumbling, type Window, type WindowState } from "millrace/std";

const MINUTE = 60_000;
/** A time further ahead of the gateway's is a wrong clock or a wrong unit; accepted, it would make everything after it late. */
const AHEAD_SECONDS_MAX = 86_400;

export default defineFunction({
  async handler(event, ctx) {
    const { device = "" } = event.params;
    const { v, t } = readReading(event.data, ctx.now());
    const before = await ctx.state.get<WindowState>("minutes");
    const { state, closed, late } = tumbling(before, { time: t * 1_000, value: v }, { size: MINUTE });
    if (late) {
      ctx.log.warn(`a value of ${device} is late and ignored`, { t, minute: state.closed / 1_000 });
      return;
    }
    for (const minute of closed) emitMinute(ctx, device, minute);
    ctx.state.set("minutes", state);
  },
});

function emitMinute(ctx: FunctionContext, device: string, { start, summary }: Window): void {
  const { mean, min, max, count } = summary;
  // Nine significant digits: the binary rest of a mean is noise.
  const v = Number(mean.toPrecision(9));
  ctx.emit("measurement.minute", { n: `${device}:temperature`, u: "Cel", v, min, max, count, t: start / 1_000 }, { subject: device });
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
