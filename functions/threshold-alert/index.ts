import { defineFunction, PermanentError } from "millrace";
import { hysteresis } from "millrace/std";

/** A temperature in degrees Celsius, and when it was taken in seconds since the epoch. */
interface Reading {
  readonly v: number;
  readonly t: number;
}

export default defineFunction({
  async handler(event, ctx) {
    const { site = "", device = "" } = event.params;
    const { high, low } = readThresholds(ctx.env);
    const { v, t } = readReading(event.data, ctx.now());
    const wasOn = (await ctx.state.get<boolean>("on")) ?? false;
    // A value that wavers around one threshold does not wear out the fan.
    const on = hysteresis(wasOn, v, { high, low });
    if (on === wasOn) return;
    ctx.state.set("on", on);
    ctx.publish(`cmd/${site}/${device}/fan`, { on });
    const fact = { n: `${device}:temperature`, u: "Cel", v, t, state: on ? "high" : "normal", high, low };
    ctx.emit(on ? "alert" : "normal", fact, { subject: device });
    ctx.log.info(on ? `${device} is above ${high}` : `${device} is back below ${low}`, { site, v });
  },
});

function readThresholds(env: Readonly<Record<string, string>>): { high: number; low: number } {
  const [high, low] = [Number(env["HIGH"] || Number.NaN), Number(env["LOW"] || Number.NaN)];
  if (Number.isFinite(high) && Number.isFinite(low) && low <= high) return { high, low };
  throw new PermanentError(
    `env of function.yaml needs numbers HIGH and LOW with LOW not above HIGH, not "${env["HIGH"]}" and "${env["LOW"]}"`,
  );
}

/** `{"v": 81.5, "t": 1700000000}` with or without `t`, or the bare number. */
function readReading(data: unknown, nowMs: number): Reading {
  const { v, t = nowMs / 1_000 } = (typeof data === "object" && data !== null ? data : { v: data }) as { v?: unknown; t?: unknown };
  if (typeof v !== "number" || !Number.isFinite(v))
    throw new PermanentError(`the payload has no number "v" and is none: ${JSON.stringify(data)}`);
  if (typeof t !== "number" || !Number.isFinite(t)) throw new PermanentError(`"t" is ${JSON.stringify(t)}, not seconds since the epoch`);
  return { v, t };
}
