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
const stats = z.object({ broker: z.object({ listeners: z.array(z.object({ name: z.string(), address: z.string() })) }) });

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
  const answer = await fetch(`${main["http"]}/v1/stats`);
  const { broker } = stats.parse(await answer.json());
  addresses = { ...main, ...Object.fromEntries(broker.listeners.map(({ name, address }) => [name, address])) };
});
afterEach(() => own.disposeAsync());

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

/** A publisher in a process of its own, and how many messages it has published. */
class Publisher {
  published = 0;
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(topic: string, qos: 0 | 1, { count, bytes }: { readonly count: number; readonly bytes: number }) {
    const args = [FLOOD, addresses["mqtt"] ?? "", topic, String(qos), String(count), String(bytes)];
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.published = Number(text.trim().split("\n").at(-1))));
    this.ended = once(this.#child, "close").then(([code]) => code as number | null);
    own.defer(async () => {
      this.#child.kill("SIGKILL");
      await this.ended;
    });
  }

  /** Resolves when it gets no further: when the gateway reads nothing more of it. */
  async stuck(): Promise<void> {
    let [last, same] = [-1, 0];
    await eventually(
      () => {
        same = this.published === last ? same + 1 : 0;
        last = this.published;
        if (same < 20) throw new Error(`it still gets further: ${last} are published`);
      },
      { interval: 50 },
    );
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
  ] as const)("by %s fills no memory, slows nobody who hears another publisher, and misses nothing, with QoS %i", async (name, qos) => {
    await using slow = await SlowReader.subscribe(name, "much", qos, true);
    await using fast = await connectClient(addresses["mqtt"] ?? "", { protocolVersion: 5 });
    await fast.mqtt.subscribeAsync("other", { qos: 1 });
    const before = memory();
    const held = new Publisher("much", qos, MUCH);
    await held.stuck();
    const other = new Publisher("other", 1, OTHER);
    await eventually(() => expect(fast.heard).toHaveLength(OTHER.count), WAIT);
    expect(await other.ended).toBe(0);
    expect(held.published).toBeLessThan(HELD_MAX);
    expect(memory() - before).toBeLessThan(GROWTH_MAX);
    slow.read();
    await eventually(() => expect(slow.heard).toBe(MUCH.count), WAIT);
    expect(await held.ended).toBe(0);
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
