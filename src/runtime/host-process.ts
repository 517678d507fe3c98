import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { MillraceError } from "../core/errors.ts";
import { once } from "../core/lifecycle.ts";
import { hostProgram } from "./host-program.ts";
import { FRAME, FrameReader, writeFrame } from "./host/frames.ts";

const STDERR_BYTES_MAX = 16 * 1024;

export interface HostEvents {
  frame(kind: number, instance: number, body: Buffer): void;
  /** The process is gone; nothing that was under way will be answered. Called once, not after `close`. */
  died(reason: string): void;
  /** There is a process; it has not started to do anything. */
  spawned?(pid: number): void;
}

/** One host process, from its start to its end. It is not restarted: a new one takes its place. */
export class HostProcess {
  /** The same for all of a kind: with an inspector, and without one. */
  static readonly #programs = new Map<boolean, string>();
  readonly #child: ChildProcess;
  readonly #pipe: Duplex;
  readonly #gone: Promise<void>;
  readonly close: () => Promise<void>;
  #closing = false;
  #stderr = "";

  private constructor(child: ChildProcess, pipe: Duplex, events: HostEvents) {
    this.#child = child;
    this.#pipe = pipe;
    const reader = new FrameReader((kind, instance, body) => events.frame(kind, instance, body));
    pipe.on("data", (chunk: Buffer) => {
      try {
        reader.push(chunk);
      } catch (error) {
        // A frame that cannot be read: the process is not to be trusted any further. Anything else is a bug of ours.
        if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
        this.kill(String(error));
        pipe.destroy(); // Whatever still comes would be read out of step.
      }
    });
    pipe.on("error", () => undefined); // The end of the process says all there is to say.
    child.stderr?.on("data", (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_BYTES_MAX)));
    this.#gone = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        pipe.destroy();
        if (!this.#closing) events.died(this.#describe(code, signal));
        resolve();
      });
    });
    this.close = once(async () => {
      this.#closing = true;
      child.kill("SIGKILL"); // It holds nothing that is worth a goodbye.
      await this.#gone;
    });
  }

  /** Resolves when the process answers. @throws MillraceError HOST_CRASHED when it never does */
  static async start(events: HostEvents, { inspector }: { readonly inspector: boolean } = { inspector: false }): Promise<HostProcess> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const child = spawn(process.execPath, hostArguments(), { env: {}, cwd: "/", stdio: ["pipe", "ignore", "pipe", "pipe"] });
    child.once("error", (cause) => reject(new MillraceError("HOST_CRASHED", `a host process did not start: ${cause.message}`, { cause })));
    // Without a process, as when there are no descriptors left, there may be no pipes either; only the error follows.
    if (child.pid === undefined) await promise;
    else events.spawned?.(child.pid);
    child.stdin?.on("error", () => undefined); // It has ended before it knew what to do; `died` says so.
    const program = HostProcess.#programs.get(inspector) ?? hostProgram({ inspector });
    HostProcess.#programs.set(inspector, program);
    child.stdin?.end(program);
    const pipe = child.stdio[3];
    if (!(pipe instanceof Duplex)) throw new Error("a pipe of a child process is a duplex stream");
    const host = new HostProcess(child, pipe, {
      frame: (kind, instance, body) => (kind === FRAME.READY ? resolve() : events.frame(kind, instance, body)),
      died: (reason) => {
        reject(new MillraceError("HOST_CRASHED", `a host process did not start: ${reason}`));
        events.died(reason);
      },
    });
    await promise;
    return host;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Answers with how many bytes wait for the process to take them. */
  send(kind: number, instance: number, ...parts: readonly Uint8Array[]): number {
    if (!this.#pipe.destroyed) writeFrame(this.#pipe, { kind, instance }, parts);
    return this.#pipe.writableLength;
  }

  /** Ends a process that does not answer any more; `died` follows. */
  kill(reason: string): void {
    this.#stderr += reason;
    this.#child.kill("SIGKILL");
  }

  #describe(code: number | null, signal: NodeJS.Signals | null): string {
    const last = this.#stderr.trim().split("\n").slice(-3).join(" | ");
    return `${signal === null ? `exit code ${String(code)}` : `signal ${signal}`}${last === "" ? "" : `: ${last.slice(0, 500)}`}`;
  }
}

/** For a program on standard input, which gets nothing else from there. */
export function hostArguments(): string[] {
  return [...hostFlags(), "--input-type=commonjs", "-"];
}

/** Node's permission model: no network, no writing, no processes, no threads; reading only the engine. */
export function hostFlags(): string[] {
  const readable = [
    ...packagePaths("isolated-vm", import.meta.url),
    ...packagePaths("node-gyp-build", createRequire(import.meta.url).resolve("isolated-vm")),
    "/etc/alpine-release", // Its presence tells node-gyp-build which C library there is.
  ];
  // The warning is about addons in general, and would stand before every reason for which a host ended.
  const flags = ["--no-node-snapshot", "--permission", "--allow-addons", "--disable-warning=PERM0001"];
  return [...flags, ...readable.map((path) => `--allow-fs-read=${path}`)];
}

/** Where a package is found from `importer`, and where that leads: package managers put links into node_modules. */
function packagePaths(name: string, importer: string): string[] {
  const found = (createRequire(importer).resolve.paths(name) ?? []).map((folder) => join(folder, name)).find((path) => existsSync(path));
  if (found === undefined) throw new MillraceError("NOT_INSTALLED", `the package ${name} is not installed beside Millrace`);
  return [...new Set([found, realpathSync(found)])];
}
