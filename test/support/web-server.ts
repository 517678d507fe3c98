import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTP server on this machine that answers as a test says. */
export class WebServer implements AsyncDisposable {
  readonly port: number;
  /** `METHOD /path` of every request that has come in. */
  readonly seen: string[] = [];
  /** Requests whose client has gone before they were answered. */
  abandoned = 0;
  /** Under way, and the most of them at once. */
  open = 0;
  openMax = 0;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>, serve: Serve) {
    this.#server = server;
    this.#sockets = sockets;
    this.port = (server.address() as AddressInfo).port;
    server.on("request", (request, response) => {
      this.seen.push(`${request.method} ${request.url}`);
      this.openMax = Math.max(this.openMax, ++this.open);
      response.on("close", () => {
        this.open--;
        if (!response.writableFinished) this.abandoned++;
      });
      serve(request, response);
    });
  }

  static async start(serve: Serve, host = "127.0.0.1"): Promise<WebServer> {
    const sockets = new Set<Socket>();
    const server = createServer();
    server.on("connection", (socket: Socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, host, resolve));
    return new WebServer(server, sockets, serve);
  }

  /** Connections that clients have. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Closes all connections. */
  drop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
