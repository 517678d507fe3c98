import { defineFunction, type ScheduleTick } from "millrace";

export default defineFunction<ScheduleTick>({
  handler(event, ctx) {
    const { name, due, missed } = event.data;
    ctx.publish("bench/ticks", { name, due: event.time, lateMs: Date.now() - Date.parse(due), missed });
  },
});
