import { defineFunction } from "millrace";

interface Weather {
  readonly temperature: number;
  readonly humidity: number;
}

export default defineFunction<Weather>({
  handler(event, ctx) {
    const { temperature } = event.data;
    if (temperature <= 20) return;
    const out = ctx.env["OUT"] ?? "";
    if (out !== "") ctx.publish(out, { temperature }, { qos: 1 });
  },
});
