import { defineFunction } from "millrace";

interface Reading {
  readonly n: string;
  readonly v: number;
  readonly t: number;
}

export default defineFunction<Reading>({
  handler(event, ctx) {
    const { n, v, t } = event.data;
    ctx.publish(`bench/out/${event.params["device"] ?? ""}`, { n, u: "Far", v: v * 1.8 + 32, t }, { qos: 1 });
  },
});
