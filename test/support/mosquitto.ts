import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

export interface Ended {
  /** 0, or what the broker answered to the CONNECT, or another number of its own. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** One of Eclipse Mosquitto's command line clients in a process of its own. */
export class Mosquitto implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  out = "";
  #err = "";

  constructor(tool: "pub" | "sub" | "rr", args: readonly string[], input = "") {
    this.child = spawn(`mosquitto_${tool}`, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => void (this.out += text));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => void (this.#err += text));
    // One that ends before it has read everything closes the pipe.
    this.child.stdin?.on("error", () => undefined).end(input);
    this.ended = once(this.child, "close").then(([code]) => ({ code: code as number | null, out: this.out, err: this.#err }));
  }

  /** The lines that it printed, when it has ended well. */
  async lines(): Promise<string[]> {
    const { code, out, err } = await this.ended;
    if (code !== 0) throw new Error(`${this.child.spawnargs.join(" ")} ended with ${code}: ${err}`);
    return out.split("\n").slice(0, -1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
  }
}

/** Runs one to its end. */
export async function mosquitto(tool: "pub" | "sub" | "rr", args: readonly string[], input?: string): Promise<Ended> {
  await using running = new Mosquitto(tool, args, input);
  return await running.ended;
}

/** The arguments that lead to an address of a listener, such as `mqtts://127.0.0.1:8883` or `mqtt+unix:///run/mqtt.sock`. */
export function placeOf(address: string): string[] {
  const { protocol, hostname, port, pathname } = new URL(address);
  return protocol === "mqtt+unix:" ? ["--unix", pathname] : ["-h", hostname, "-p", port];
}
