/**
 * Loaded into a gateway process before anything else, by NODE_OPTIONS: shifts what it takes for the time by the milliseconds that a file
 * names. Timers are not touched, as with a real clock that is set.
 */
import { readFileSync } from "node:fs";

const file = process.env["TORTURE_CLOCK"] ?? "";
const real = Date;
let offsetMs = 0;

function read(): void {
  try {
    offsetMs = Number(readFileSync(file, "utf8"));
  } catch {
    // The file is being replaced; the offset of before holds for another moment.
  }
}

globalThis.Date = new Proxy(real, {
  construct: (target, parameters: unknown[]) =>
    Reflect.construct(target, parameters.length === 0 ? [real.now() + offsetMs] : parameters) as object,
  apply: () => new real(real.now() + offsetMs).toString(),
  get: (target, name) => (name === "now" ? () => real.now() + offsetMs : (Reflect.get(target, name) as unknown)),
});

read();
setInterval(read, 50).unref();
