import { setTimeout as sleep } from "node:timers/promises";
import { encodePubacks, type PublishBlock, publishBlock, type TakePacket, TYPE } from "./codec.ts";
import { Connection } from "./connection.ts";
import { percentiles } from "./generator.ts";
import type { FleetOptions, FleetResult } from "./protocol.ts";

/** Connections that are being opened at once. */
const OPENING_MAX = 200;
const TICK_MS = 5;
/** How long answers are waited for at the end. */
const ANSWER_MS_MAX = 20_000;
const PINGREQ = Buffer.from([0xc0, 0]);
const PAYLOAD = JSON.stringify({ n: "device", u: "Cel", v: 21.53, q: "valid" }).padEnd(72);

interface Counts {
  published: number;
  acknowledged: number;
  received: number;
}

/** One sensor with a connection of its own. */
class Device {
  readonly #block: PublishBlock;
  readonly #clientId: string;
  readonly #counts: Counts;
  readonly #latencies: number[];
  #connection: Connection | undefined;
  /** Times of the publishes without a PUBACK, in their order. */
  readonly #open: number[] = [];
  #id = 0;

  constructor(index: number, counts: Counts, latencies: number[]) {
    const name = `device-${String(index).padStart(5, "0")}`;
    this.#clientId = `${name}-${process.pid}`;
    this.#block = publishBlock([`fleet/${name}`], () => PAYLOAD, { qos: 1 });
    this.#counts = counts;
    this.#latencies = latencies;
  }

  get unanswered(): number {
    return this.#open.length;
  }

  async open(port: number, keepAlive: number): Promise<void> {
    const take: TakePacket = (first) => {
      if (first >> 4 === TYPE.PINGRESP) return;
      const at = this.#open.shift();
      if (first >> 4 !== TYPE.PUBACK || at === undefined) throw new Error(`unexpected packet type ${first >> 4}`);
      this.#counts.acknowledged++;
      this.#latencies.push(performance.now() - at);
    };
    this.#connection = await Connection.open({ port, clientId: this.#clientId, keepAlive }, { take, chunkDone: () => undefined });
  }

  publish(): void {
    const { bytes, idAt = 0 } = this.#block;
    const packet = Buffer.from(bytes);
    this.#id = (this.#id % 65_535) + 1;
    packet.writeUInt16BE(this.#id, idAt);
    this.#open.push(performance.now());
    this.#counts.published++;
    this.#connection?.write(packet);
  }

  ping(): void {
    this.#connection?.write(PINGREQ);
  }

  close(): void {
    this.#connection?.close();
  }
}

/** Connects all devices, lets each do what it does, one after the other over the second, and counts. `tell` hears when the measured time begins and ends. */
export async function runDevices(options: FleetOptions, tell: (type: "begin" | "end") => void): Promise<FleetResult> {
  const counts: Counts = { published: 0, acknowledged: 0, received: 0 };
  const latencies: number[] = [];
  const devices = Array.from({ length: options.devices }, (_, index) => new Device(index, counts, latencies));
  const startedAt = performance.now();
  const subscriber = options.subscribe === undefined ? undefined : await listen(options.port, options.subscribe, counts);
  await openAll(devices, options);
  const connectSeconds = (performance.now() - startedAt) / 1_000;
  const timers = [
    ...(options.publishes ? [spread(devices, 1_000, (device) => device.publish())] : []),
    spread(devices, options.keepAlive * 500, (device) => device.ping()),
  ];
  await sleep(options.warmUpMs);
  latencies.length = 0;
  const begin = { at: performance.now(), ...counts };
  tell("begin");
  await sleep(options.measureMs);
  const end = { at: performance.now(), ...counts };
  tell("end");
  const latency = latencies.length === 0 ? {} : { latency: percentiles(latencies) };
  for (const timer of timers) clearInterval(timer);
  const unanswered = await answered(devices);
  for (const connection of [...devices, ...(subscriber === undefined ? [] : [subscriber])]) connection.close();
  return {
    connectSeconds,
    seconds: (end.at - begin.at) / 1_000,
    published: end.published - begin.published,
    acknowledged: end.acknowledged - begin.acknowledged,
    received: end.received - begin.received,
    unanswered,
    ...latency,
  };
}

async function openAll(devices: readonly Device[], { port, keepAlive }: FleetOptions): Promise<void> {
  const left = devices.values();
  const worker = async (): Promise<void> => {
    for (const device of left) await device.open(port, keepAlive);
  };
  await Promise.all(Array.from({ length: OPENING_MAX }, worker));
}

/** Each of them once in `everyMs`, evenly. A late tick catches up. */
function spread(devices: readonly Device[], everyMs: number, act: (device: Device) => void): NodeJS.Timeout {
  const startedAt = performance.now();
  let done = 0;
  return setInterval(() => {
    const due = Math.floor(((performance.now() - startedAt) / everyMs) * devices.length);
    for (; done < due; done++) {
      const device = devices[done % devices.length];
      if (device !== undefined) act(device);
    }
  }, TICK_MS);
}

async function listen(port: number, filter: string, counts: Counts): Promise<Connection> {
  const acks: number[] = [];
  let connection: Connection | undefined;
  const take: TakePacket = (first, bytes, start) => {
    counts.received++;
    if ((first & 6) === 2) acks.push(bytes.readUInt16BE(start + 2 + bytes.readUInt16BE(start)));
  };
  const chunkDone = (): void => {
    if (acks.length > 0) connection?.write(encodePubacks(acks));
    acks.length = 0;
  };
  connection = await Connection.open({ port, clientId: `fleet-sub-${process.pid}` }, { take, chunkDone });
  await connection.subscribe(filter, 1);
  return connection;
}

/** How many never are. */
async function answered(devices: readonly Device[]): Promise<number> {
  const open = (): number => devices.reduce((sum, device) => sum + device.unanswered, 0);
  const deadline = performance.now() + ANSWER_MS_MAX;
  while (open() > 0 && performance.now() < deadline) await sleep(20);
  return open();
}
