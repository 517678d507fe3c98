/**
 * A process that appends messages to the journal in the folder that it is given, as a gateway does, and is killed when they are on disk:
 * `node restart-fill.ts FOLDER COUNT`.
 */
import { encodeMessage } from "../src/core/message.ts";
import { type Entry, Journal } from "../src/journal/journal.ts";

const TOPICS = 64;
const IN_FLIGHT = 8_192;

function entryOf(n: number): Entry {
  const topic = `bench/sink/station-${n % TOPICS}`;
  const payload = Buffer.from(JSON.stringify({ n: topic, u: "Cel", v: 20 + Math.random(), t: 1_763_700_000_000 + n }));
  const time = Date.now();
  return { topic, time, hops: 0, record: encodeMessage({ topic, payload, qos: 1, retain: false, time, source: "fill", hops: 0 }) };
}

const [location = "", count = ""] = process.argv.slice(2);
const journal = await Journal.open({ location, batchMax: 1_024 });
let sent = 0;
const worker = async (): Promise<void> => {
  while (sent < Number(count)) {
    const entry = entryOf(sent++);
    await new Promise<void>((resolve, reject) => journal.append(entry, (error) => (error === undefined ? resolve() : reject(error))));
  }
};
await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
process.kill(process.pid, "SIGKILL");
