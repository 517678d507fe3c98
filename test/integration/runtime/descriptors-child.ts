import { closeSync, openSync } from "node:fs";
import { pino } from "pino";
import { HostPool } from "../../../src/runtime/hosts.ts";
import { SPEC } from "../../support/engine.ts";
import { hostsOf } from "../../support/processes.ts";

/**
 * The hosts of a process that has no descriptor left when one of them dies; to be run with a low limit. Prints what is logged, then `loaded` when there
 * are descriptors again and a function could be loaded.
 */
const failed = Promise.withResolvers<void>();
const write = (line: string): void => {
  process.stdout.write(line);
  if (line.includes("did not start")) failed.resolve();
};
const pool = new HostPool({ shared: 1 }, pino({ level: "error" }, { write }));
await pool.ready();
const [host = 0] = hostsOf(process.pid);
const open: number[] = [];
try {
  for (;;) open.push(openSync("/dev/null", "r"));
} catch (error) {
  if (!(error instanceof Error && "code" in error && error.code === "EMFILE")) throw error;
}
// In a gateway there are sockets; nothing of the hosts keeps a process from ending.
const alive = setInterval(() => undefined, 1_000);
process.kill(host, "SIGKILL");
await failed.promise;
for (const descriptor of open) closeSync(descriptor);
const events = { result: () => undefined, cut: () => undefined, stateGet: () => undefined, lost: () => undefined };
await pool.load(SPEC, events);
await pool.close();
clearInterval(alive);
process.stdout.write("loaded\n");
