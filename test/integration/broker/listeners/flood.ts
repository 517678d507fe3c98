/** A publisher as a process of its own: `node flood.ts ADDRESS TOPIC QOS COUNT BYTES`; ends when everything is published, and acknowledged if it has QoS 1. */
import { connectAsync } from "mqtt";

/** Messages that wait for their acknowledgement. */
const WINDOW = 50;

const [address = "", topic = "", qos = "", count = "", bytes = ""] = process.argv.slice(2);
const payload = Buffer.alloc(Number(bytes), "x");
const client = await connectAsync(address, { protocolVersion: 5, reconnectPeriod: 0, keepalive: 0 });
let next = 0;

async function publish(): Promise<void> {
  while (next++ < Number(count)) {
    await client.publishAsync(topic, payload, { qos: qos === "1" ? 1 : 0 });
  }
}

await Promise.all(Array.from({ length: qos === "1" ? WINDOW : 1 }, publish));
await client.endAsync();
