import { once } from "node:events";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ControlClient } from "../../src/cli/client/control-client.ts";
import { GatewayClient } from "../../src/cli/client/gateway-client.ts";
import type { GatewayStats } from "../../src/core/stats.ts";
import { SupervisedDaemon } from "./daemon.ts";
import { SmallDisk } from "./disk.ts";
import { buildVersion, FUNCTION_NAMES, type FunctionName } from "./functions.ts";
import { FaultyNetwork } from "./proxy.ts";

const READY_MS_MAX = 60_000;
const CLOCK_SHIFT = new URL("clock-shift.ts", import.meta.url).href;

interface Ports {
  readonly mqtt: number;
  readonly http: number;
  readonly control: number;
  readonly link: number;
}

interface Parts {
  readonly folder: string;
  readonly ports: Ports;
  readonly disk: SmallDisk;
  /** Between gateway and control plane. */
  readonly link: FaultyNetwork;
  /** Between publishers and gateway. */
  readonly devices: FaultyNetwork;
  /** Between one of the subscribers and the gateway. */
  readonly subscribers: FaultyNetwork;
  readonly control: SupervisedDaemon;
  readonly gateway: SupervisedDaemon;
  readonly api: ControlClient;
  readonly local: GatewayClient;
}

/** A gateway and a control plane as processes, what stands between them, and the disk and the clock that the gateway has. */
export class World implements AsyncDisposable {
  readonly parts: Parts;
  readonly #own: AsyncDisposableStack;
  #builds = 0;
  #offsetMs = 0;

  private constructor(parts: Parts, own: AsyncDisposableStack) {
    this.parts = parts;
    this.#own = own;
  }

  static async start(folder: string): Promise<World> {
    await using own = new AsyncDisposableStack();
    const [mqtt = 0, http = 0, control = 0, link = 0] = await freePorts(4);
    const ports = { mqtt, http, control, link };
    const disk = own.use(await SmallDisk.make(join(folder, "disk")));
    const network = own.use(await FaultyNetwork.open(link));
    const devices = own.use(await FaultyNetwork.open(mqtt));
    const subscribers = own.use(await FaultyNetwork.open(mqtt));
    await mkdir(join(folder, "sources"));
    await writeFile(join(folder, "clock"), "0");
    const { signal } = new AbortController();
    const parts = {
      folder,
      ports,
      disk,
      link: network,
      devices,
      subscribers,
      control: own.use(controlDaemon(folder, ports)),
      gateway: own.use(gatewayDaemon(folder, { disk, ports, link: network.port })),
      api: new ControlClient(`http://127.0.0.1:${ports.control}`, signal),
      local: new GatewayClient(`http://127.0.0.1:${ports.http}`, signal),
    };
    const world = new World(parts, own.move());
    try {
      for (const name of FUNCTION_NAMES) await world.until(() => world.publish(name), "the first versions are published");
      await world.until(async () => (await world.stats())?.functions.length === FUNCTION_NAMES.length, "the functions are at work");
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
    return world;
  }

  get data(): string {
    return join(this.parts.disk.path, "gateway");
  }

  /** Undefined while the gateway does not answer. */
  stats(): Promise<GatewayStats | undefined> {
    return this.parts.local.stats().catch(() => undefined);
  }

  /** Another version of a function. False while the control plane does not answer. */
  async publish(name: FunctionName): Promise<boolean> {
    const { bytes, digest } = await buildVersion(join(this.parts.folder, "sources"), name, ++this.#builds);
    return this.parts.api.publish(name, bytes, digest).then(
      () => true,
      () => false,
    );
  }

  /** How often the gateway let clients wait because its disk was nearly full, and how often it ended because it could not write, as its log has it. */
  async fullDisks(): Promise<{ readonly waited: number; readonly ended: number }> {
    const lines = (await readFile(join(this.parts.folder, "gateway.log"), "utf8")).split("\n");
    const count = (text: string): number => lines.filter((line) => line.includes(text)).length;
    return { waited: count("the disk is nearly full"), ended: count("DISK_FULL") };
  }

  /** Sets the gateway's clock this much further on, or back. */
  async stepClock(ms: number): Promise<void> {
    this.#offsetMs += ms;
    const file = join(this.parts.folder, "clock");
    await writeFile(`${file}.new`, String(this.#offsetMs));
    await rename(`${file}.new`, file);
  }

  get clockOffsetMs(): number {
    return this.#offsetMs;
  }

  /** @throws Error when it does not come true in time; `what` says what was waited for */
  async until(condition: () => Promise<boolean>, what: string, maxMs = READY_MS_MAX): Promise<void> {
    const deadline = performance.now() + maxMs;
    while (!(await condition())) {
      if (performance.now() > deadline) throw new Error(`not within ${maxMs / 1_000} s: ${what}`);
      await sleep(50);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }
}

function controlDaemon(folder: string, ports: Ports): SupervisedDaemon {
  return new SupervisedDaemon({
    command: commandOf({
      control: "",
      "--data": join(folder, "control"),
      "--http-port": ports.control,
      "--mqtt-port": ports.link,
    }),
    log: join(folder, "control.log"),
    env: () => ({}),
  });
}

function gatewayDaemon(folder: string, { disk, ports, link }: { disk: SmallDisk; ports: Ports; link: number }): SupervisedDaemon {
  return new SupervisedDaemon({
    command: commandOf({
      gateway: "",
      "--id": "torture",
      "--data": join(disk.path, "gateway"),
      "--http-port": ports.http,
      "--mqtt-port": ports.mqtt,
      "--control": `mqtt://127.0.0.1:${link}`,
    }),
    log: join(folder, "gateway.log"),
    env: (life) => ({
      NODE_OPTIONS: `--import ${CLOCK_SHIFT}`,
      TORTURE_CLOCK: join(folder, "clock"),
      MILLRACE_RUNTIME_HOSTS: "2",
      MILLRACE_JOURNAL_RETENTION_BYTES: "1MB",
      // Every other one does not see a full disk coming, and writes until it cannot.
      ...(life % 2 === 1 ? { MILLRACE_JOURNAL_FREE_SPACE_MIN: "0B" } : {}),
    }),
  });
}

function commandOf(flags: Readonly<Record<string, string | number>>): string[] {
  const words = Object.entries(flags).flatMap(([name, value]) => (value === "" ? [name] : [name, String(value)]));
  return [...words, "--json", "--log-level", "warn"];
}

/** Ports that nobody has; all are taken before any is given back, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, "127.0.0.1");
      await once(server, "listening");
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
