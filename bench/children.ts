import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const READY_MS = 30_000;
const STOP_MS = 5_000;
const LOG_LINES = 5;

export interface ChildOptions<T> {
  /** Also the name of its log file. */
  readonly name: string;
  readonly command: string;
  readonly parameters: readonly string[];
  /** Where it says that it is ready; the other stream is its log. Standard output by default. */
  readonly readyOn?: "stdout" | "stderr";
  /** Looks at each line of that stream until one says that the child is ready. */
  readonly ready: (line: string) => T | undefined;
}

export interface Child<T> {
  readonly pid: number;
  readonly ready: T;
  stop(): Promise<void>;
}

/** Starts the programs that are measured and sees that none is left behind. */
export class Children implements AsyncDisposable {
  readonly #folder: string;
  readonly #running = new Set<ChildProcess>();
  readonly #ends = new Set<() => Promise<void>>();

  /** Logs go to `folder`. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  async start<T>(options: ChildOptions<T>): Promise<Child<T>> {
    const log = join(this.#folder, `${options.name}.log`);
    const file = openSync(log, "a");
    const child = spawn(options.command, options.parameters, {
      stdio: options.readyOn === "stderr" ? ["ignore", file, "pipe"] : ["ignore", "pipe", file],
    });
    closeSync(file);
    this.#running.add(child);
    child.on("exit", () => this.#running.delete(child));
    const ready = await Promise.race([readyLine(child, options), ended(child, options.name, log)]);
    // What is measured must not end by itself; its log goes with the folder, so the reason is told now.
    const report = (code: number | null, signal: string | null): void =>
      void process.stderr.write(`${obituary(options.name, log, code ?? signal)}\n`);
    child.on("exit", report);
    const end = (): Promise<void> => {
      child.off("exit", report);
      return stop(child);
    };
    this.#ends.add(end);
    return { pid: child.pid ?? 0, ready, stop: end };
  }

  /** For the end of the process, when there is no time to ask. */
  killNow(): void {
    for (const child of this.#running) child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#ends].map((end) => end()));
    // Those that never became ready.
    await Promise.all([...this.#running].map(stop));
  }
}

function readyLine<T>(child: ChildProcess, { name, ready }: ChildOptions<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} did not say within ${READY_MS} ms that it is ready`)), READY_MS);
    const input = child.stdout ?? child.stderr;
    if (input === null) return;
    createInterface({ input }).on("line", (line) => {
      const value = ready(line);
      if (value === undefined) return;
      clearTimeout(timer);
      resolve(value);
    });
    child.on("exit", () => clearTimeout(timer));
  });
}

async function ended(child: ChildProcess, name: string, log: string): Promise<never> {
  const [code, signal]: unknown[] = await once(child, "exit");
  throw new Error(obituary(name, log, code ?? signal));
}

function obituary(name: string, log: string, cause: unknown): string {
  const tail = readFileSync(log, "utf8").trimEnd().split("\n").slice(-LOG_LINES).join("\n");
  return `${name} ended with ${String(cause)}; the end of its log:\n${tail}`;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await exited;
  clearTimeout(timer);
}
