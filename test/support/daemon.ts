import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

const MAIN = new URL("../../src/cli/main.ts", import.meta.url).pathname;

/** The program in a process of its own. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly exit: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  out = "";
  err = "";

  constructor(args: readonly string[], options: { cwd?: string; env?: Record<string, string>; wrap?: readonly string[] } = {}) {
    const [command = process.execPath, ...rest] = [...(options.wrap ?? []), process.execPath, MAIN, ...args];
    this.child = spawn(command, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => void (this.out += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => void (this.err += text));
    this.exit = once(this.child, "close").then(([code, signal]) => ({ code, signal }));
  }

  /** The first line of standard output; fails with what the process said when it ends before. */
  async line(): Promise<string> {
    while (!this.out.includes("\n")) {
      const ended = await Promise.race([this.exit, once(this.child.stdout ?? this.child, "data").then(() => undefined)]);
      if (ended !== undefined && !this.out.includes("\n")) throw new Error(`ended with ${ended.code}: ${this.err}`);
    }
    return this.out.slice(0, this.out.indexOf("\n"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.exit;
  }
}
