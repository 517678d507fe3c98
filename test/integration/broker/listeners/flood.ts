/**
 * A publisher as a process of its own: `node flood.ts ADDRESS TOPIC QOS COUNT BYTES`. Prints how many messages it has published so far, a line for each
 * hundred; those of QoS 1 count when they are acknowledged.
 */
import { connectAsync } from "mqtt";

/** Messages that wait for their acknowledgement. */
const WINDOW = 50;

const [address = "", topic = "", qos = "", count = "", bytes = ""] = process.argv.slice(2);
const payload = Buffer.alloc(Number(bytes), "x");
const client = await connectAsync(address, { protocolVersion: 5, reconnectPeriod: 0, keepalive: 0 });
let published = 0;
let next = 0;

async function publish(): Promise<void> {
  while (next++ < Number(count)) {
    await client.publishAsync(topic, payload, { qos: qos === "1" ? 1 : 0 });
    published++;
    if (published % 100 === 0) process.stdout.write(`${published}\n`);
  }
}

await Promise.all(Array.from({ length: qos === "1" ? WINDOW : 1 }, publish));
await client.endAsync();
