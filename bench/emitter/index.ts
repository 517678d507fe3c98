import { defineFunction } from "millrace";

interface Reading {
  readonly n: string;
  readonly v: number;
  readonly t: number;
}

export default defineFunction<Reading>({
  handler(event, ctx) {
    const { n, v, t } = event.data;
    ctx.emit("measurement", { n, u: "Cel", v, t });
  },
});
