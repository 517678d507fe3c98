import { defineFunction } from "millrace";

export default defineFunction<{ readonly v: number }>({
  async handler(event) {
    if (await Promise.resolve(event.data.v < -1_000)) throw new Error("it is too cold");
  },
});
