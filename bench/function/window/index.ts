import { defineFunction } from "millrace";
import { tumbling, type WindowState } from "millrace/std";

export default defineFunction<{ readonly v: number }>({
  async handler(event, ctx) {
    const before = await ctx.state.get<WindowState>("w");
    const { state, closed } = tumbling(before, { time: ctx.now(), value: event.data.v }, { size: 10_000 });
    ctx.state.set("w", state);
    for (const { start, summary } of closed) ctx.emit("measurement", { n: event.params["k"] ?? "", t: start / 1_000, v: summary.mean });
  },
});
