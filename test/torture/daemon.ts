import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { aborted, once as runOnce } from "../../src/core/lifecycle.ts";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;
const BACKOFF_MS = [50, 100, 200, 400, 800, 1_600];
/** A start after which the back-off begins anew. */
const STABLE_MS = 3_000;
const STOP_MS = 10_000;

export interface DaemonOptions {
  readonly command: readonly string[];
  readonly log: string;
  /** Of each of its lives, numbered from 0. */
  readonly env: (life: number) => Readonly<Record<string, string>>;
}

/** A program of Millrace that is started again whenever it ends, as systemd would do. */
export class SupervisedDaemon implements AsyncDisposable {
  readonly #options: DaemonOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #child: ChildProcess | undefined;
  #lives = 0;
  /** Times that it ended without having been told to. */
  readonly ends = { killed: 0, itself: 0 };
  readonly close: () => Promise<void>;

  constructor(options: DaemonOptions) {
    this.#options = options;
    // For an end of this process that leaves no time to ask.
    const killNow = (): void => void this.#child?.kill("SIGKILL");
    process.on("exit", killNow);
    this.#running = this.#supervise();
    this.close = runOnce(async () => {
      this.#stop.abort();
      await this.#running;
      process.off("exit", killNow);
    });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** False when there is nothing to be killed at this moment. */
  kill(): boolean {
    return this.#child?.kill("SIGKILL") ?? false;
  }

  /** Its child processes: for a gateway, the hosts. */
  async children(): Promise<number[]> {
    if (this.pid === undefined) return [];
    const text = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, "utf8").catch(() => ""); // It may have ended just now.
    return text.split(" ").filter(Boolean).map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #supervise(): Promise<void> {
    const { signal } = this.#stop;
    for (let failures = 0; !signal.aborted;) {
      const startedAt = performance.now();
      const code = await this.#run(signal);
      if (signal.aborted) return;
      if (code === null) this.ends.killed++;
      else this.ends.itself++;
      failures = performance.now() - startedAt > STABLE_MS ? 0 : failures + 1;
      await sleep(BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)], undefined, { signal }).catch(() => undefined); // Told to stop.
    }
  }

  /** One life of the process; the exit code, or null when a signal ended it. */
  async #run(signal: AbortSignal): Promise<number | null> {
    const { command, log, env } = this.#options;
    const file = openSync(log, "a");
    const child = spawn(process.execPath, [MAIN, ...command], {
      stdio: ["ignore", file, file],
      env: { PATH: process.env["PATH"], ...env(this.#lives++) },
    });
    closeSync(file);
    this.#child = child;
    const ended = once(child, "exit");
    const stopping = new AbortController();
    const stop = aborted(AbortSignal.any([signal, stopping.signal])).then(() => {
      child.kill("SIGTERM");
      return sleep(STOP_MS, undefined, { signal: stopping.signal }).then(
        () => child.kill("SIGKILL"),
        () => undefined, // It has ended.
      );
    });
    const [code] = (await ended) as [number | null];
    this.#child = undefined;
    stopping.abort();
    await stop;
    return code;
  }
}
