import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { vi } from "vitest";

const PATIENCE = { timeout: 30_000, interval: 20 };

/** Speaks HTTP/1.1 byte by byte. */
export class RawClient {
  readonly socket: Socket;
  got = "";
  ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("error", () => undefined); // The server may cut it off.
    socket.setEncoding("latin1").on("data", (text: string) => void (this.got += text));
    socket.on("close", () => void (this.ended = true));
  }

  static async open(address: string): Promise<RawClient> {
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    return new RawClient(socket);
  }

  send(...lines: readonly string[]): void {
    this.socket.write(lines.join("\r\n"));
  }

  head(method: string, path: string, ...headers: readonly string[]): void {
    this.send(`${method} ${path} HTTP/1.1`, "Host: x", ...headers, "", "");
  }

  /** The status of the answer, when its head has come. */
  async answered(): Promise<number> {
    await vi.waitUntil(() => /^HTTP\/1\.1 \d{3} [^]*\r\n\r\n/.test(this.got), PATIENCE);
    return Number(this.got.slice(9, 12));
  }

  async closed(): Promise<void> {
    await vi.waitUntil(() => this.ended, PATIENCE);
  }
}
