import { type ChildProcess, spawn } from "node:child_process";
import { closeSync } from "node:fs";
import { extname } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { ERRORS, type ErrorCode, MillraceError } from "../../core/errors.ts";
import type { LogFile } from "./log-file.ts";

const READY_MS_MAX = 60_000;
const TAIL_LINES = 8;
const MAIN = fileURLToPath(new URL(`../main${extname(import.meta.filename)}`, import.meta.url));
/** Loaded into a child before anything else: when its parent is gone, however it went, the child ends in order instead of keeping its ports. */
const LEASH = `data:text/javascript,${encodeURIComponent('process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));')}`;

const readyLine = z.object({ addresses: z.object({ http: z.string(), mqtt: z.string() }), pid: z.int() });
export type Addresses = z.infer<typeof readyLine>["addresses"];

const lastWords = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

export interface ChildOptions {
  /** What the parent calls it: `gateway`. */
  readonly name: string;
  /** Arguments of `millrace`. */
  readonly args: readonly string[];
  readonly log: LogFile;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** One run of a daemon of this program in a process of its own. */
export class Child {
  readonly #process: ChildProcess;
  readonly #options: ChildOptions;
  readonly #logStart: number;
  /** Resolves when the process is gone, to how it went; never rejects. */
  readonly exited: Promise<string>;
  /** Resolves to the addresses once it serves; rejects with the error that the child gave when it ends before that. */
  readonly ready: Promise<Addresses>;

  constructor(options: ChildOptions) {
    this.#options = options;
    this.#logStart = options.log.size();
    const fd = options.log.open();
    // A process group of its own: Ctrl-C in the terminal reaches the parent only, which then ends its children in the right order.
    this.#process = spawn(process.execPath, ["--import", LEASH, MAIN, ...options.args, "--json"], {
      stdio: ["ignore", "pipe", fd, "ipc"],
      detached: true,
      env: options.env,
    });
    closeSync(fd);
    this.exited = new Promise((resolve) => {
      this.#process.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
      this.#process.once("error", (error) => resolve(error.message));
    });
    this.ready = this.#whenReady();
    // Whoever waits for it gets the error; a child that is stopped while it starts has nobody waiting.
    this.ready.catch(() => {});
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** The last lines of what this run logged. */
  tail(): readonly string[] {
    return this.#options.log.tail(TAIL_LINES, this.#logStart);
  }

  /** Asks it to end and resolves when it has; kills it and everything it started when it takes longer than `killAfterMs`. */
  async stop(killAfterMs: number): Promise<void> {
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), killAfterMs);
    await this.exited;
    clearTimeout(timer);
    // Host processes of a gateway that was killed or has crashed are in the same group.
    this.#signal("SIGKILL");
  }

  #signal(name: "SIGTERM" | "SIGKILL"): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(name === "SIGKILL" ? -pid : pid, name);
    } catch (error) {
      // ESRCH: it is gone already, which is what was wanted.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }

  async #whenReady(): Promise<Addresses> {
    const { name } = this.#options;
    const timer = setTimeout(() => this.#signal("SIGKILL"), READY_MS_MAX);
    try {
      return await Promise.race([this.#firstLine(), this.exited.then((how) => Promise.reject(this.#startError(how)))]);
    } catch (error) {
      if (error instanceof MillraceError) throw error;
      throw new MillraceError("CHILD_FAILED", `the ${name} did not say that it is ready as expected`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }

  #firstLine(): Promise<Addresses> {
    const { stdout } = this.#process;
    if (stdout === null) throw new Error("the child was started with a pipe as its standard output");
    return new Promise((resolve, reject) => {
      // Read to the end, so that the child never waits for room in the pipe; only the first line means something.
      createInterface({ input: stdout }).on("line", (line) => {
        try {
          resolve(readyLine.parse(JSON.parse(line)).addresses);
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** With `--json` the last line on standard error is the error, in a form that keeps its code. */
  #startError(how: string): MillraceError {
    const lines = this.tail();
    for (const line of lines.toReversed()) {
      const error = parseError(line);
      if (error !== undefined) return error;
    }
    const log = lines.length === 0 ? "it logged nothing" : `the end of its log:\n${lines.map((line) => `  ${line}`).join("\n")}`;
    return new MillraceError("CHILD_FAILED", `the ${this.#options.name} ended while it was starting (${how}); ${log}`);
  }
}

function parseError(line: string): MillraceError | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    // A line that is no JSON, such as a frame of a stack, is not the error.
    return undefined;
  }
  const said = lastWords.safeParse(value);
  if (!said.success) return undefined;
  const { code, message } = said.data.error;
  return isCode(code) ? new MillraceError(code, message) : undefined;
}

function isCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
