import { defineFunction } from "millrace";

interface Reading {
  readonly n: string;
  readonly v: number;
  readonly t: number;
  /** Turns of a loop that stands for work. */
  readonly turns?: number;
}

export default defineFunction<Reading>({
  handler(event, ctx) {
    const { n, t, turns = 0 } = event.data;
    let v = event.data.v;
    for (let turn = 0; turn < turns; turn++) v = (v * 1.000_1) % 1_000;
    const out = ctx.env["OUT"] ?? "";
    if (out !== "") ctx.publish(`${out}/${n}`, { n, u: "Cel", v, t }, { qos: 1 });
  },
});
