import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { PAHO } from "./other-clients.ts";

const DRIVER = new URL("paho-driver.py", import.meta.url).pathname;

/** With the names of Paho, such as `MessageExpiryInterval`. */
type Properties = Readonly<Record<string, unknown>>;

export interface PahoOptions {
  readonly id: string;
  /** As on the wire: 3 is MQTT 3.1. */
  readonly version: 3 | 4 | 5;
  readonly clean?: boolean;
  readonly properties?: Properties;
  readonly ca?: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly user?: string;
  readonly password?: string;
  readonly will?: { readonly topic: string; readonly payload: string; readonly qos: 0 | 1 | 2; readonly properties?: Properties };
}

interface Heard {
  readonly topic: string;
  readonly text: string;
  readonly qos: number;
  readonly retain: boolean;
}

interface Answer {
  readonly code: number;
  readonly session: boolean;
  /** Of a SUBACK. */
  readonly codes: readonly number[];
  readonly properties: Properties;
}

interface Line {
  readonly answer?: Answer;
  readonly failed?: string;
  readonly heard?: Heard;
  readonly properties?: Properties;
  readonly disconnected?: number;
}

/** The MQTT client of Python in a process of its own. */
export class Paho implements AsyncDisposable {
  readonly heard: Heard[] = [];
  /** Of each message that was heard. */
  readonly properties: Properties[] = [];
  /** What the broker, or the library, gave as the reason for the end of the connection. */
  readonly disconnected: Promise<number>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #closed: Promise<unknown>;
  #waiting: PromiseWithResolvers<Answer> | undefined;
  #err = "";

  constructor() {
    this.#child = spawn(PAHO.python, ["-B", DRIVER], { stdio: ["pipe", "pipe", "pipe"] });
    const disconnected = Promise.withResolvers<number>();
    this.disconnected = disconnected.promise;
    createInterface({ input: this.#child.stdout }).on("line", (text) => {
      const { answer, failed, heard, properties = {}, disconnected: reason } = JSON.parse(text) as Line;
      if (reason !== undefined) disconnected.resolve(reason);
      if (failed !== undefined) this.#waiting?.reject(new Error(failed));
      if (answer !== undefined) this.#waiting?.resolve(answer);
      if (heard === undefined) return;
      this.heard.push(heard);
      this.properties.push(properties);
    });
    this.#child.stderr.setEncoding("utf8").on("data", (text: string) => void (this.#err += text));
    this.#closed = once(this.#child, "close").then(() => this.#waiting?.reject(new Error(`python ended: ${this.#err}`)));
  }

  /** Fails when there is no CONNACK; one that refuses is an answer. */
  connect(address: string, options: PahoOptions): Promise<Answer> {
    const { protocol, hostname: host, port, pathname: path } = new URL(address);
    const web = protocol.startsWith("ws") ? { transport: "websockets", path } : {};
    return this.#call("connect", { ...options, ...web, host, port: Number(port) });
  }

  subscribe(filter: string, qos: 0 | 1 | 2, more: { readonly options?: object; readonly properties?: Properties } = {}): Promise<Answer> {
    return this.#call("subscribe", { filter, qos, ...more });
  }

  /** Resolves when it is acknowledged, and with QoS 0 when it is sent. */
  async publish(
    topic: string,
    text: string,
    qos: 0 | 1 | 2,
    more: { readonly retain?: boolean; readonly properties?: Properties } = {},
  ): Promise<void> {
    await this.#call("publish", { topic, text, qos, ...more });
  }

  /** `reason` is of version 5. */
  async disconnect(reason?: number): Promise<void> {
    this.#write("disconnect", reason === undefined ? {} : { reason });
    await this.disconnected;
  }

  /** As a device that loses its power. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  async #call(name: string, args: object): Promise<Answer> {
    this.#waiting = Promise.withResolvers<Answer>();
    this.#write(name, args);
    try {
      return await this.#waiting.promise;
    } finally {
      this.#waiting = undefined;
    }
  }

  #write(name: string, args: object): void {
    this.#child.stdin.write(`${JSON.stringify({ do: name, ...args })}\n`);
  }
}
