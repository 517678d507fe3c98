/** Logs numbered lines without end, as a process that a test can kill. `node logs-child.ts FOLDER FIRST`; prints how many it has logged so far. */
import { setImmediate as turn } from "node:timers/promises";
import { Drops } from "../../src/core/drops.ts";
import { silentLogger } from "../../src/core/log.ts";
import { LogRing } from "../../src/runtime/logs.ts";
import { LogStore } from "../../src/runtime/log-store.ts";

const [location = "", first = ""] = process.argv.slice(2);
const [ring, drops] = [new LogRing(), new Drops()];
const store = await LogStore.open({ location, bytesMax: 64 * 1024 ** 2, ring, drops, logger: silentLogger });
for (let number = Number(first); ; number++) {
  ring.add({ level: "info", function: "f", version: 1, message: String(number), fields: `{"number":${number}}` });
  if (number % 100 !== 0) continue;
  process.stdout.write(`${number}\n`);
  do await turn();
  while (store.unwritten > 1_000);
}
