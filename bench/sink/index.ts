import { defineFunction } from "millrace";

export default defineFunction({
  handler() {},
});
