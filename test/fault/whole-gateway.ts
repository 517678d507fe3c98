import { rename, writeFile } from "node:fs/promises";
import { vi } from "vitest";
import { ControlClient } from "../../src/cli/client/control-client.ts";
import { startControlPlane } from "../../src/control-plane.ts";
import { encodeBundle } from "../../src/core/bundle.ts";
import type { EventsPage } from "../../src/core/control-api.ts";
import type { CloudEvent } from "../../src/core/event.ts";
import { silentLogger } from "../../src/core/log.ts";
import type { GatewayStats } from "../../src/core/stats.ts";
import { Program } from "../support/daemon.ts";
import type { TestFunction } from "../support/functions.ts";
import { TempFolder } from "../support/temp-folder.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const CLOCK_SHIFT = new URL("../torture/clock-shift.ts", import.meta.url).href;
const PATIENCE = { timeout: 30_000, interval: 20 };

interface Addresses {
  readonly mqtt: string;
  readonly http: string;
}

/** A control plane in this process, and a gateway as a program of its own that a test kills, and whose clock it sets. */
export class WholeGateway implements AsyncDisposable {
  readonly #own: AsyncDisposableStack;
  readonly #folder: string;
  readonly #link: string;
  readonly #control: ControlClient;
  readonly #env: Readonly<Record<string, string>>;
  #running: { readonly program: Program; readonly addresses: Addresses } | undefined;

  private constructor(own: AsyncDisposableStack, parts: { folder: string; link: string; http: string; env: Record<string, string> }) {
    this.#own = own;
    this.#folder = parts.folder;
    this.#link = parts.link;
    this.#control = new ControlClient(parts.http, new AbortController().signal);
    this.#env = parts.env;
  }

  /** `env` holds further settings of the gateway, as variables. It is not started. */
  static async make(env: Record<string, string> = {}): Promise<WholeGateway> {
    await using own = new AsyncDisposableStack();
    const folder = own.use(await TempFolder.make());
    const control = own.use(await startControlPlane({ data: folder.join("control"), http: LOCAL, mqtt: LOCAL }, { logger: silentLogger }));
    await writeFile(folder.join("clock"), "0");
    const { http, mqtt: link } = control.addresses;
    return new WholeGateway(own.move(), { folder: folder.path, link, http, env });
  }

  /** Resolves when it takes messages. */
  async start(): Promise<void> {
    const args = ["gateway", "--id", "g", "--data", `${this.#folder}/gateway`, "--mqtt-port", "0", "--http-port", "0"];
    const env = { NODE_OPTIONS: `--import ${CLOCK_SHIFT}`, TORTURE_CLOCK: `${this.#folder}/clock`, ...this.#env };
    const program = new Program([...args, "--control", this.#link, "--json", "--log-level", "warn"], { env });
    const { addresses } = JSON.parse(await program.line()) as { addresses: Addresses };
    this.#running = { program, addresses };
  }

  /** `kill -9`, of the gateway and with it of its hosts. */
  async kill(): Promise<void> {
    const { program } = this.#alive();
    this.#running = undefined;
    await program[Symbol.asyncDispose]();
  }

  get addresses(): Addresses {
    return this.#alive().addresses;
  }

  /** What it takes for the time from here on, at the latest in a moment, in milliseconds since the epoch. */
  async setClock(now: number): Promise<void> {
    await writeFile(`${this.#folder}/clock.new`, String(now - Date.now()));
    await rename(`${this.#folder}/clock.new`, `${this.#folder}/clock`);
  }

  /** Resolves when the gateway runs all of them. */
  async publish(...functions: readonly TestFunction[]): Promise<void> {
    for (const { target, bundle } of functions) {
      await this.#control.publish(target.name, new Uint8Array(encodeBundle(bundle)), target.digest);
    }
    const digests = functions.map(({ target }) => target.digest);
    await vi.waitUntil(async () => {
      const { functions: running } = await this.stats();
      return digests.every((digest) => running.some((one) => one.digest === digest && one.state === "active"));
    }, PATIENCE);
  }

  async stats(): Promise<GatewayStats> {
    return (await (await fetch(`${this.addresses.http}/v1/stats`)).json()) as GatewayStats;
  }

  /** Resolves when every message is handled and every event is with the control plane. */
  async idle(): Promise<void> {
    let before = -1;
    await vi.waitUntil(async () => {
      const { functions, outbox, journal } = await this.stats();
      const quiet = outbox.pending === 0 && functions.every(({ backlog }) => backlog === 0) && before === journal.seq;
      before = journal.seq;
      return quiet;
    }, PATIENCE);
  }

  /** All events of a type that the control plane has, in the order in which it got them. */
  async events(type: string): Promise<readonly CloudEvent[]> {
    const all: CloudEvent[] = [];
    for (let after: number | null = 0; after !== null;) {
      const { events, next }: EventsPage = await this.#control.events({ type, after, order: "asc", limit: 1_000 });
      all.push(...events);
      after = next;
    }
    return all;
  }

  #alive(): { readonly program: Program; readonly addresses: Addresses } {
    if (this.#running === undefined) throw new Error("the gateway does not run");
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#running !== undefined) await this.kill();
    await this.#own.disposeAsync();
  }
}
