import { existsSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:net";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import type { Child, Children } from "../children.ts";
import type { Broker } from "./broker.ts";

export async function startNullBroker(children: Children): Promise<Broker> {
  const { pid, ready } = await children.start({
    name: "null-broker",
    command: process.execPath,
    parameters: [fileURLToPath(new URL("null-broker.ts", import.meta.url))],
    ready: (line) => z.object({ port: z.int() }).parse(JSON.parse(line)).port,
  });
  return { name: "null broker", port: ready, pid, label: "null broker" };
}

/** The hand-written script, connected to the broker at `port`. */
export function startScript(children: Children, port: number): Promise<Child<true>> {
  return children.start({
    name: "script",
    command: process.execPath,
    parameters: [fileURLToPath(new URL("script.ts", import.meta.url)), `mqtt://127.0.0.1:${port}`],
    ready: () => true,
  });
}

/** A Mosquitto in memory, with its queues opened as wide as the load needs; undefined where none is installed. */
export async function startMosquitto(children: Children, folder: string): Promise<(Broker & { stop(): Promise<void> }) | undefined> {
  const paths = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  const command = paths.map((path) => join(path, "mosquitto")).find((path) => existsSync(path));
  if (command === undefined) return undefined;
  const port = await freePort();
  const config = join(folder, "mosquitto.conf");
  const settings = [
    "allow_anonymous true",
    "persistence false",
    "set_tcp_nodelay true",
    "max_inflight_messages 0",
    "max_queued_messages 0",
  ];
  writeFileSync(config, [`listener ${port} 127.0.0.1`, "log_dest stderr", ...settings, ""].join("\n"), { mode: 0o644 });
  const child = await children.start({
    name: "mosquitto",
    command,
    parameters: ["-c", config],
    readyOn: "stderr",
    ready: (line) => /mosquitto version (\S+) running/.exec(line)?.[1],
  });
  return { name: `mosquitto ${child.ready}`, port, pid: child.pid, label: "mosquitto", stop: () => child.stop() };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("a TCP server without a port");
  return address.port;
}
