/** A program: how long V8 takes for an isolate with a context and nothing in it, in ms, the median of 100; on standard output. */
import ivm from "isolated-vm";

const ISOLATES = 100;
const MEMORY_MB = 32;

const tookMs: number[] = [];
for (let n = 0; n < ISOLATES; n++) {
  const startedAt = performance.now();
  const isolate = new ivm.Isolate({ memoryLimit: MEMORY_MB });
  await isolate.createContext();
  tookMs.push(performance.now() - startedAt);
  isolate.dispose();
}
process.stdout.write(String(tookMs.toSorted((a, b) => a - b)[ISOLATES / 2]));
