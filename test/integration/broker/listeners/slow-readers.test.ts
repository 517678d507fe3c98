import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { generate, type Packet, parser } from "mqtt-packet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createWebSocketStream, WebSocket } from "ws";
import { z } from "zod";
import { residentBytes } from "../../../../src/runtime/proc.ts";
import { connectClient } from "../../../support/broker.ts";
import { Program } from "../../../support/daemon.ts";
import { eventually } from "../../../support/eventually.ts";
import { ListenerSite } from "../../../support/listeners.ts";

const FLOOD = new URL("./flood.ts", import.meta.url).pathname;
const MEGABYTE = 1024 ** 2;
/** 200 MB for the slow reader, if nothing holds it up. */
const MUCH = { count: 12_800, bytes: 16 * 1024 };
const OTHER = { count: 2_000, bytes: 1_000 };
/** What a gateway that is busy may need more than one that is not. */
const GROWTH_MAX = 130 * MEGABYTE;
/** Of the sockets of both sides, and of what may wait in memory for a client: in messages. */
const HELD_MAX = 4_000;
const WAIT = { timeout: 55_000 };

const ready = z.object({ addresses: z.record(z.string(), z.string()) });
const stats = z.object({
  broker: z.object({
    listeners: z.array(z.object({ name: z.string(), address: z.string() })),
    stored: z.object({ drops: z.array(z.object({ reason: z.string(), count: z.number() })) }),
  }),
});

let site: ListenerSite;
let gateway: Program;
let addresses: Readonly<Record<string, string>>;
let own: AsyncDisposableStack;

beforeEach(async () => {
  own = new AsyncDisposableStack();
  site = own.use(new ListenerSite());
  const web = { path: "/mqtt", port: 0 };
  const listeners = { tls: { type: "tls", ...site.tls }, ws: { type: "ws", ...web }, wss: { type: "wss", ...web, ...site.tls } };
  const config = { data: join(site.folder, "data"), mqtt: { port: 0, listeners }, http: { port: 0 }, control: { url: "" } };
  const file = join(site.folder, "gateway.yaml");
  writeFileSync(file, JSON.stringify(config));
  gateway = own.use(new Program(["gateway", "--config", file, "--json"]));
  const { addresses: main } = ready.parse(JSON.parse(await gateway.line()));
  addresses = main;
  const { listeners: places } = await brokerStats();
  addresses = { ...main, ...Object.fromEntries(places.map(({ name, address }) => [name, address])) };
});
afterEach(() => own.disposeAsync());

async function brokerStats(): Promise<z.infer<typeof stats>["broker"]> {
  const answer = await fetch(`${addresses["http"]}/v1/stats`);
  return stats.parse(await answer.json()).broker;
}

/** Messages that the reader missed because it took nothing. */
async function dropped(): Promise<number> {
  const { stored } = await brokerStats();
  return stored.drops.reduce((sum, { reason, count }) => sum + (reason === "slow-subscribers" ? count : 0), 0);
}

/** A subscriber that reads nothing until it is told to. */
class SlowReader implements AsyncDisposable {
  /** Messages that came. */
  heard = 0;
  readonly #stream: Duplex;
  readonly #packets = parser({ protocolVersion: 4 });

  private constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("error", () => undefined);
    this.#packets.on("packet", (packet: Packet) => this.#take(packet));
  }

  static async subscribe(name: string, filter: string, qos: 0 | 1, clean: boolean): Promise<SlowReader> {
    const reader = new SlowReader(await streamTo(name));
    const suback = Promise.withResolvers<void>();
    reader.#packets.on("packet", ({ cmd }) => {
      if (cmd === "suback") suback.resolve();
    });
    reader.#stream.on("data", (chunk: Buffer) => void reader.#packets.parse(chunk));
    reader.#send({ cmd: "connect", clientId: `slow ${name}`, protocolId: "MQTT", protocolVersion: 4, clean, keepalive: 0 });
    reader.#send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: filter, qos }] });
    await suback.promise;
    reader.#stream.pause();
    return reader;
  }

  read(): void {
    this.#stream.resume();
  }

  #take(packet: Packet): void {
    if (packet.cmd !== "publish") return;
    this.heard++;
    if (packet.qos === 1) this.#send({ cmd: "puback", messageId: packet.messageId ?? 0 });
  }

  #send(packet: Packet): void {
    this.#stream.write(generate(packet, { protocolVersion: 4 }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.destroy();
  }
}

async function streamTo(name: string): Promise<Duplex> {
  const address = addresses[name] ?? "";
  if (name === "tls") {
    const socket = connectTls({ host: "127.0.0.1", port: Number(new URL(address).port), ca: site.ca.text });
    await once(socket, "secureConnect");
    return socket;
  }
  const socket = new WebSocket(address, ["mqtt"], { ca: site.ca.text });
  await once(socket, "open");
  return createWebSocketStream(socket);
}

/** A publisher in a process of its own. */
class Publisher {
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(topic: string, qos: 0 | 1, { count, bytes }: { readonly count: number; readonly bytes: number }) {
    const args = [FLOOD, addresses["mqtt"] ?? "", topic, String(qos), String(count), String(bytes)];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] });
    this.ended = once(this.#child, "close").then(([code]) => code as number | null);
    own.defer(async () => {
      this.#child.kill("SIGKILL");
      await this.ended;
    });
  }
}

function memory(): number {
  return residentBytes(gateway.child.pid ?? 0) ?? 0;
}

describe("a subscriber that reads nothing", () => {
  it.each([
    ["tls", 0],
    ["ws", 0],
    ["wss", 0],
    ["wss", 1],
  ] as const)("by %s fills no memory, holds up nobody for long, and misses what is counted, with QoS %i", async (name, qos) => {
    await using slow = await SlowReader.subscribe(name, "much", qos, true);
    await using fast = await connectClient(addresses["mqtt"] ?? "", { protocolVersion: 5 });
    await fast.mqtt.subscribeAsync("other", { qos: 1 });
    const before = memory();
    const much = new Publisher("much", qos, MUCH);
    const other = new Publisher("other", 1, OTHER);
    await eventually(() => expect(fast.heard).toHaveLength(OTHER.count), WAIT);
    expect(await other.ended).toBe(0);
    expect(await much.ended).toBe(0);
    expect(memory() - before).toBeLessThan(GROWTH_MAX);
    slow.read();
    await eventually(async () => expect(slow.heard + (await dropped())).toBe(MUCH.count), WAIT);
    expect(slow.heard).toBeGreaterThan(0);
    expect(slow.heard).toBeLessThan(HELD_MAX);
  });

  it.each(["tls", "ws"])("by %s holds up nobody with a stored session, and fills the disk and no memory", async (name) => {
    await using slow = await SlowReader.subscribe(name, "much", 1, false);
    await using fast = await connectClient(addresses["mqtt"] ?? "", { protocolVersion: 5 });
    await fast.mqtt.subscribeAsync("much", { qos: 1 });
    let heard = 0;
    fast.mqtt.removeAllListeners("message").on("message", () => heard++);
    const before = memory();
    const publisher = new Publisher("much", 1, MUCH);
    expect(await publisher.ended).toBe(0);
    await eventually(() => expect(heard).toBe(MUCH.count), WAIT);
    expect(slow.heard).toBe(0);
    expect(memory() - before).toBeLessThan(GROWTH_MAX);
  });
});
