import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { ControlClient } from "../../src/cli/client/control-client.ts";
import { GatewayClient } from "../../src/cli/client/gateway-client.ts";
import type { FunctionStats, GatewayStats } from "../../src/core/stats.ts";
import { Program } from "../support/daemon.ts";
import { TempFolder } from "../support/temp-folder.ts";
import type { Deployable } from "./snippet.ts";

const POLL_MS = 50;
const DEPLOY_MS_MAX = 60_000;
const REMOVE_MS_MAX = 30_000;
const LETTERS_MAX = 1_000;
const LOGS_MAX = 1_000;
const CODE =
  /\b(?:LIMIT_[A-Z]+|FETCH_[A-Z]+|SECRET_[A-Z]+|HOST_CRASHED|FUNCTION_THREW|FUNCTION_LOAD_FAILED|PERMISSION_DENIED|PAYLOAD_INVALID)\b/g;

const readySchema = z.object({ addresses: z.object({ http: z.string(), mqtt: z.string() }) });

/** What a person who looks after the gateway is told about a function. */
export interface Told {
  /** Codes of its dead letters, with how many there are. */
  readonly letters: Readonly<Record<string, number>>;
  /** Codes in its warnings and errors, in what is said about its state, and in the gateway's log. */
  readonly codes: readonly string[];
  /** The first of it all, as text. */
  readonly text: string;
}

interface Parts {
  readonly control: Program;
  readonly gateway: Program;
  readonly mqtt: string;
  readonly http: string;
  readonly api: ControlClient;
  readonly local: GatewayClient;
  readonly born: Pick<GatewayStats, "pid" | "startedAt">;
}

/** A gateway as a process of its own, with a real journal, and a control plane to deploy from. */
export class HostileSite implements AsyncDisposable {
  readonly #parts: Parts;
  readonly #own: AsyncDisposableStack;

  private constructor(parts: Parts, own: AsyncDisposableStack) {
    this.#parts = parts;
    this.#own = own;
  }

  static async start(): Promise<HostileSite> {
    await using own = new AsyncDisposableStack();
    const folder = own.use(await TempFolder.make());
    // A control plane is elsewhere in real life: here it must not take the processor from what is measured.
    const wrap = ["nice", "-n", "10"];
    const places = ["--http-port", "0", "--mqtt-port", "0", "--json"];
    const control = own.use(new Program(["control", "--data", folder.join("control"), ...places], { wrap }));
    const above = readySchema.parse(JSON.parse(await control.line())).addresses;
    const flags = ["--id", "hostile", "--data", folder.join("gateway"), "--control", above.mqtt, "--log-level", "warn"];
    const gateway = own.use(new Program(["gateway", ...flags, ...places]));
    // For an end of this process that leaves no time to ask.
    const killNow = (): void => [gateway, control].forEach(({ child }) => child.kill("SIGKILL"));
    process.on("exit", killNow);
    own.defer(() => void process.off("exit", killNow));
    const { http, mqtt } = readySchema.parse(JSON.parse(await gateway.line())).addresses;
    const { signal } = new AbortController();
    const local = new GatewayClient(http, signal);
    const { pid, startedAt } = await local.stats();
    const api = new ControlClient(above.http, signal);
    return new HostileSite({ control, gateway, mqtt, http, api, local, born: { pid, startedAt } }, own.move());
  }

  get mqtt(): string {
    return this.#parts.mqtt;
  }

  /** Why the gateway is not the process any more that was started, or does not answer. */
  async ailment(): Promise<string | undefined> {
    const { gateway, local, born } = this.#parts;
    if (gateway.child.exitCode !== null || gateway.child.signalCode !== null) {
      return `the gateway has ended with ${gateway.child.exitCode ?? gateway.child.signalCode}: ${gateway.err.trim().split("\n").at(-1)?.slice(0, 300)}`;
    }
    const stats = await local.stats().catch((error: unknown) => String(error));
    if (typeof stats === "string") return `the gateway does not answer: ${stats}`;
    return stats.pid === born.pid && stats.startedAt === born.startedAt ? undefined : "the gateway has been started again";
  }

  /** Resolves when there is an answer. @throws Error when it is none that a function has a right to */
  async ask(path: string, body: string): Promise<void> {
    const answer = await fetch(`${this.#parts.http}/fn/${path}`, { method: "POST", body });
    if (answer.headers.has("set-cookie")) throw new Error(`/fn/${path} has smuggled a header into its answer`);
    await answer.bytes();
  }

  gateway(): Promise<GatewayStats> {
    return this.#parts.local.stats();
  }

  async function(name: string): Promise<FunctionStats | undefined> {
    return (await this.gateway()).functions.find((one) => one.name === name);
  }

  /** Resolves when the gateway runs it, or has said that it cannot. @throws Error when it says neither */
  async deploy({ name, bytes, digest }: Deployable): Promise<FunctionStats> {
    await this.#parts.api.publish(name, bytes, digest);
    const answer = async (): Promise<FunctionStats | undefined> => {
      const found = await this.function(name);
      return found?.digest === digest ? found : undefined;
    };
    return until(answer, `"${name}" is deployed`, DEPLOY_MS_MAX);
  }

  async remove(name: string): Promise<void> {
    await this.#parts.api.remove(name);
    await until(async () => ((await this.function(name)) === undefined ? true : undefined), `"${name}" is removed`, REMOVE_MS_MAX);
    await this.#parts.local.clearDeadLetters(name);
  }

  async told(name: string): Promise<Told> {
    const { local, gateway } = this.#parts;
    const [letters, logs, stats] = await Promise.all([
      local.deadLetters(name, LETTERS_MAX),
      local.logs({ function: name, level: "warn", limit: LOGS_MAX }),
      this.function(name),
    ]);
    const counts: Record<string, number> = {};
    for (const { code } of letters) counts[code] = (counts[code] ?? 0) + 1;
    const lines = logs.records.map(({ message }) => message);
    const logged = gateway.err.split("\n").filter((line) => line.includes(`"${name}"`));
    const texts = [...letters.map(({ code, error }) => `${code}: ${error}`), stats?.error ?? "", ...lines, ...logged];
    const codes = new Set(texts.flatMap((text) => text.slice(0, 10_000).match(CODE) ?? []));
    return { letters: counts, codes: [...codes], text: texts.find((text) => text !== "") ?? "" };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own.disposeAsync();
  }
}

/** @throws Error naming `what` when there is no answer in time */
export async function until<T>(ask: () => Promise<T | undefined>, what: string, maxMs: number): Promise<T> {
  const deadline = performance.now() + maxMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`not within ${maxMs / 1_000} s: ${what}`);
    await sleep(POLL_MS);
  }
}
