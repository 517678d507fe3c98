/**
 * What one writes without Millrace: an mqtt.js script that does the same work as bench/function/index.ts, at QoS 1, with nothing made
 * durable and nothing isolated. Its argument is the broker's address; prints a line when it is subscribed.
 */
import { connect } from "mqtt";

interface Reading {
  readonly n: string;
  readonly v: number;
  readonly t: number;
}

const client = connect(process.argv[2] ?? "mqtt://127.0.0.1:1883", { clientId: `script-${process.pid}`, protocolVersion: 4 });

client.on("connect", () => {
  client.subscribe("script/in/+", { qos: 1 }, () => process.stdout.write("{}\n"));
});

client.on("message", (topic, payload) => {
  const { n, v, t } = JSON.parse(payload.toString("utf8")) as Reading;
  client.publish(`script/out/${topic.split("/")[2] ?? ""}`, JSON.stringify({ n, u: "Far", v: v * 1.8 + 32, t }), { qos: 1 });
});

client.on("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
process.on("SIGTERM", () => process.exit(0));
