import { defineFunction } from "millrace";

interface Reading {
  readonly n: string;
  readonly v: number;
  readonly t: number;
}

let handled = 0;

export default defineFunction<Reading>({
  handler(event, ctx) {
    const { n, v, t } = event.data;
    const every = Number(ctx.env["LOG_EVERY"]);
    if (every > 0 && ++handled % every === 0) ctx.log.info("a reading", { device: n, v });
    ctx.publish(`${ctx.env["OUT"] ?? ""}/${n}`, { n, u: "Far", v: v * 1.8 + 32, t }, { qos: 1 });
  },
});
