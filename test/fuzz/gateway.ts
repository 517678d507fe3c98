import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { GatewayClient } from "../../src/cli/client/gateway-client.ts";
import { startControlPlane } from "../../src/control-plane.ts";
import { encodeBundle } from "../../src/core/bundle.ts";
import { loadConfig } from "../../src/core/config.ts";
import { GATEWAY_TABLE } from "../../src/core/gateway-config.ts";
import { silentLogger } from "../../src/core/log.ts";
import type { GatewayStats } from "../../src/core/stats.ts";
import { startGateway } from "../../src/gateway.ts";
import { until } from "../hostile/site.ts";
import { Program } from "../support/daemon.ts";
import { functionOf } from "../support/functions.ts";
import { TempFolder } from "../support/temp-folder.ts";
import { PREFIX } from "./grammar.ts";
import type { Addresses } from "./line.ts";

const LOCAL = { host: "127.0.0.1", port: 0 };
const DEPLOY_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;
/** Of pino. */
const LEVEL_ERROR = 50;

const readySchema = z.object({ addresses: z.object({ http: z.string(), mqtt: z.string(), web: z.string() }) });

/** A gateway as a process of its own, with a function that some of the messages wake: those go through the journal. */
export class FuzzedGateway implements AsyncDisposable {
  readonly #folder: TempFolder;
  #program: Program | undefined;
  #addresses: z.infer<typeof readySchema>["addresses"] = { http: "", mqtt: "", web: "" };

  private constructor(folder: TempFolder) {
    this.#folder = folder;
  }

  static async start(): Promise<FuzzedGateway> {
    await using own = new AsyncDisposableStack();
    const folder = own.use(await TempFolder.make());
    await deploy(folder);
    await writeFile(folder.join("gateway.yaml"), "mqtt.listeners: {web: {type: ws, port: 0, path: /mqtt}}\n");
    const gateway = own.use(new FuzzedGateway(folder));
    await gateway.#begin();
    own.move();
    return gateway;
  }

  async #begin(): Promise<void> {
    const folder = this.#folder;
    const places = ["--data", folder.join("gateway"), "--mqtt-port", "0", "--http-port", "0", "--control", ""];
    const flags = ["--id", "fuzzed", "--config", folder.join("gateway.yaml"), "--log-level", "warn", "--json"];
    this.#program = new Program(["gateway", ...places, ...flags]);
    this.#addresses = readySchema.parse(JSON.parse(await this.#program.line())).addresses;
  }

  get addresses(): Addresses {
    return { tcp: this.#addresses.mqtt, webSocket: this.#addresses.web };
  }

  stats(): Promise<GatewayStats> {
    return new GatewayClient(this.#addresses.http, new AbortController().signal).stats();
  }

  get hasEnded(): boolean {
    const { exitCode = 0, signalCode = null } = this.#program?.child ?? {};
    return exitCode !== null || signalCode !== null;
  }

  /** Bytes of memory that its process has. */
  get rss(): number {
    try {
      const text = readFileSync(`/proc/${this.#program?.child.pid}/status`, "latin1");
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1_024;
    } catch {
      return 0; // It has ended, which is seen elsewhere.
    }
  }

  /** Lines of its log that say of an error, or that are none of its log. */
  get complaints(): string[] {
    const lines = (this.#program?.err ?? "").split("\n").filter((line) => line !== "");
    return lines.filter((line) => !line.startsWith("{") || ((JSON.parse(line) as { level?: number }).level ?? LEVEL_ERROR) >= LEVEL_ERROR);
  }

  /** Ends it as a supervisor does, and starts it again. Answers with what was wrong. */
  async restart(): Promise<string[]> {
    const program = this.#program;
    program?.child.kill("SIGTERM");
    const exit = await Promise.race([program?.exit, sleep(STOP_MS_MAX, undefined, { ref: false })]);
    const problems =
      exit?.code === 0 ? [] : [`SIGTERM ended the gateway with ${exit === undefined ? "nothing in 20 s" : (exit.code ?? exit.signal)}`];
    problems.push(...this.complaints);
    await program?.[Symbol.asyncDispose]();
    await this.#begin();
    return problems;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** Leaves the data of a gateway that runs the function. */
async function deploy(folder: TempFolder): Promise<void> {
  const { bundle } = functionOf({ triggers: [`${PREFIX}/in/#`], handler: "ctx.state.set('size', event.bytes.length);" });
  await using control = await startControlPlane({ data: folder.join("control"), http: LOCAL, mqtt: LOCAL }, { logger: silentLogger });
  const text = `id: fuzzed\ndata: ${folder.join("gateway")}\nmqtt.port: 0\nhttp.port: 0\ncontrol.url: ${control.addresses.mqtt}\n`;
  await using gateway = await startGateway(loadConfig(GATEWAY_TABLE, { text, env: {} }), { logger: silentLogger });
  const answer = await fetch(`${control.addresses.http}/v1/functions/f`, { method: "PUT", body: new Uint8Array(encodeBundle(bundle)) });
  if (!answer.ok) throw new Error(`the control plane refused the function: ${await answer.text()}`);
  const isActive = async (): Promise<true | undefined> =>
    gateway.stats().functions.some(({ state }) => state === "active") ? true : undefined;
  await until(isActive, "the function is active", DEPLOY_MS_MAX);
}
