/**
 * Runs in a machine of its own, see run.sh: the kernel is to end a host whose function takes too much memory, before the watch would, and the gateway
 * is to say so, to go on, and to clean up. `node check.ts UID auto|on`
 */
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Drops } from "../../src/core/drops.ts";
import { silentLogger } from "../../src/core/log.ts";
import { Journal } from "../../src/journal/journal.ts";
import { hostGroups } from "../../src/runtime/host-groups.ts";
import { Runtime } from "../../src/runtime/runtime.ts";
import { functionOf } from "../support/functions.ts";
import { append, entryOf } from "../support/journal.ts";

const MB = 2 ** 20;
/** What the kernel allows a host; the watch would act at WATCHED only. */
const ALLOWED = 200 * MB;
const WATCHED = 1_000 * MB;
const WAIT_MS = 240_000;

const [uid, use] = process.argv.slice(2);
if (Number(uid) > 0) {
  process.setgid?.(Number(uid));
  process.setuid?.(Number(uid));
}

function check(what: string, holds: boolean): void {
  console.log(`${holds ? "ok  " : "FAIL"} ${what}`);
  if (!holds) process.exitCode = 1;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + WAIT_MS;
  while (!(await holds()) && performance.now() < end) await sleep(50);
  check(what, await holds());
}

const BOMB = functionOf({
  name: "bomb",
  triggers: ["bomb"],
  limits: { cpuMs: 60_000, wallMs: 120_000, memoryBytes: 1_024 * MB },
  retry: { attempts: 1 },
  handler: "const all = []; for (;;) all.push(new Array(100_000).fill(1.5));",
});
const GOOD = functionOf({ name: "good", triggers: ["good"], handler: "ctx.emit('good', 1);", limits: { cpuMs: 30_000, wallMs: 60_000 } });

const cap = hostGroups(use === "on" ? "on" : "auto");
console.log(`${use} as user ${uid}: ${cap.by === "kernel" ? cap.groups.path : cap.reason}`);
if (cap.by === "watch") throw new Error(cap.reason);
const { groups } = cap;
const hosts = (): string[] => readdirSync(groups.path).filter((name) => name.startsWith("host-"));
const of = (name: string, file: string): string => readFileSync(join(groups.path, name, file), "utf8").trim();

const drops = new Drops();
const journal = await Journal.open({ location: mkdtempSync("/tmp/journal-"), batchMax: 256, drops });
const options = { gateway: "g", hosts: 1, pendingMax: 100, drops, hostMemoryMax: WATCHED };
const runtime = await Runtime.start({ ...options, hostGroups: { create: () => groups.create(ALLOWED) } }, journal, silentLogger);
journal.subscribe({ incoming: (messages) => runtime.accept(messages), publishes: (number) => journal.delivered(number) });
runtime.begin();
check("the gateway has moved into a group of its own", readFileSync("/proc/self/cgroup", "utf8").includes("/gateway\n"));
const [first = ""] = hosts();
check("a host is in a group of its own", of(first, "cgroup.procs").split("\n").length === 1 && of(first, "cgroup.procs") !== "");
const limits = ["memory.max", "memory.swap.max", "memory.oom.group", "cpu.weight"].map((file) => of(first, file));
console.log(`memory.max, memory.swap.max, memory.oom.group, cpu.weight: ${limits.join(", ")}`);
check("its limits are set", limits.join() === [ALLOWED, 0, 1, 33].join());
console.log(`a host without a function takes ${Math.round(Number(of(first, "memory.current")) / MB)} MB there`);
check("what it takes is counted there", Number(of(first, "memory.current")) > 5 * MB);

for (const { target, bundle } of [BOMB, GOOD]) await runtime.deploy(target, bundle);
const stats = (name: string): { handled: number } => runtime.stats().functions.find((each) => each.name === name) ?? { handled: 0 };
await append(journal, entryOf("good", "1", { time: Date.now() }));
await until("a function works", () => stats("good").handled === 1);
await append(journal, entryOf("bomb", "1", { time: Date.now() }));
await until("a message that takes too much is given up", async () => (await journal.deadLetters("bomb", 1)).length === 1);
const [letter] = await journal.deadLetters("bomb", 1);
console.log(`dead letter: ${letter?.code}: ${letter?.error}`);
check("its error is the limit, and names it", letter?.code === "LIMIT_MEMORY" && letter.error.includes("ended by the kernel"));
check("the limit can be found", letter?.error.includes("runtime.host_memory_max") === true);
await append(journal, entryOf("good", "2", { time: Date.now() }));
await until("another function goes on", () => stats("good").handled === 2);
console.log(`host processes that have ended: ${runtime.stats().hostRestarts}`);
await runtime.close();
await until("no group of a host is left", () => hosts().length === 0);
await journal.close();
console.log(process.exitCode === undefined ? "CHECK PASSED" : "CHECK FAILED");
