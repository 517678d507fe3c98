import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Benchmark } from "./benchmark.ts";
import type { Child } from "./children.ts";
import { median, row, syncRow } from "./report.ts";
import type { Addresses } from "./subjects/programs.ts";
import { SinkGateway } from "./subjects/sink.ts";

const MESSAGES = 1_000_000;
const FILL = fileURLToPath(new URL("restart-fill.ts", import.meta.url));

/**
 * From the start of a gateway's process until it is ready, with a million messages in its journal that wait for a function. The process before
 * was killed: the one that wrote them, and then the gateway itself.
 */
export const restart: Benchmark = async (options, children, folder) => {
  const sink = await SinkGateway.prepare(children, folder);
  const readyMs: number[] = [];
  const openMs: number[] = [];
  const waiting: number[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    await fill(join(sink.data, "journal"));
    const startedAt = performance.now();
    const gateway = await sink.start();
    await ready(gateway.ready);
    readyMs.push(performance.now() - startedAt);
    const { journal } = await SinkGateway.stats(gateway.ready);
    openMs.push(journal.opened.tookMs);
    waiting.push(journal.seq + 1 - journal.floor);
    process.stderr.write(`round ${round}: ready in ${Math.round(readyMs.at(-1) ?? 0)} ms, ${waiting.at(-1)} messages waited\n`);
    await kill(gateway);
  }
  return [
    row("process started to /readyz", median(readyMs), "ms"),
    row("the slowest of them", Math.max(...readyMs), "ms"),
    row("of that, opening and checking the journal", median(openMs), "ms"),
    row("messages that waited, at least", Math.min(...waiting), "messages"),
    syncRow(folder),
  ];
};

async function fill(location: string): Promise<void> {
  const child = spawn(process.execPath, [FILL, location, String(MESSAGES)], { stdio: ["ignore", "ignore", "inherit"] });
  const [code, signal]: unknown[] = await once(child, "exit");
  if (signal !== "SIGKILL") throw new Error(`the journal was not filled: ended with ${String(code ?? signal)}`);
}

async function ready(gateway: Addresses): Promise<void> {
  const answer = await fetch(`${gateway["http"] ?? ""}/readyz`);
  if (!answer.ok) throw new Error(`the gateway said that it is ready, and /readyz does not: ${await answer.text()}`);
}

/** Before it can close anything: the first signal is answered in the next turn of its event loop at the earliest. */
async function kill(gateway: Child<Addresses>): Promise<void> {
  process.kill(gateway.pid, "SIGSTOP");
  const stopped = gateway.stop();
  process.kill(gateway.pid, "SIGKILL");
  await stopped;
}
