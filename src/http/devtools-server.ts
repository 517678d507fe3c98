import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, type WebSocket, WebSocketServer } from "ws";
import packageJson from "../../package.json" with { type: "json" };
import { once } from "../core/lifecycle.ts";
import { authority, listen } from "../core/listen.ts";
import { isDebuggerOrigin, isLoopbackHost } from "./loopback.ts";
import type { InspectedFunction, InspectorAttachment } from "./parts.ts";

const HOST = "127.0.0.1";
/** One message of a debugger. */
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024;
const CONNECTIONS_MAX = 32;
/** Close codes of RFC 6455, section 7.4.1. */
const GOING_AWAY = 1001;
/** A reason has at most 123 bytes there. */
const REASON_CHARS_MAX = 100;

/** An isolate as a debugger finds it. */
export interface InspectTarget {
  readonly title: string;
  /** `ws://127.0.0.1:9229/…` */
  readonly webSocketDebuggerUrl: string;
  /** To be opened in Chrome. */
  readonly devtoolsFrontendUrl: string;
}

/**
 * What Chrome DevTools, `chrome://inspect` and editors expect of a process that can be debugged: a list of targets over HTTP and a WebSocket for
 * each. Only on the loopback interface, only for requests that name it, and never for a page of the web.
 */
export class DevToolsServer implements AsyncDisposable {
  readonly address: string;
  readonly targets: readonly InspectTarget[];
  readonly close: () => Promise<void>;
  readonly #inspected: InspectedFunction;
  /** One for each isolate. Nobody can guess them, so a page that gets past everything else does not know where to connect. */
  readonly #ids: readonly string[];
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MESSAGE_BYTES_MAX, perMessageDeflate: false });

  private constructor(server: Server, address: string, inspected: InspectedFunction) {
    this.address = address;
    this.#inspected = inspected;
    this.#ids = Array.from({ length: inspected.isolates }, () => randomUUID());
    this.targets = this.#ids.map((id, index) => ({
      title: titleOf(inspected, index),
      webSocketDebuggerUrl: `ws://${address}/${id}`,
      devtoolsFrontendUrl: `devtools://devtools/bundled/js_app.html?experiments=true&v8only=true&ws=${address}/${id}`,
    }));
    server.on("request", (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response));
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#upgrade(request, socket, head));
    this.close = once(async () => {
      for (const socket of this.#sockets.clients) socket.close(GOING_AWAY, "the inspection is over");
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      for (const socket of this.#sockets.clients) socket.terminate();
      await closed;
    });
  }

  /** Port 0 picks a free one. @throws MillraceError PORT_IN_USE, LISTEN_FAILED */
  static async open(port: number, inspected: InspectedFunction): Promise<DevToolsServer> {
    const server = createServer();
    server.maxConnections = CONNECTIONS_MAX;
    return new DevToolsServer(server, authority(await listen(server, { host: HOST, port }, "the debugger's port")), inspected);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const answer = this.#refusal(request) ?? this.#json(request);
    const [status, body] = typeof answer === "number" ? [answer, { error: STATUS_CODES[answer] }] : [200, answer];
    response.writeHead(status, { "content-type": "application/json; charset=UTF-8", "cache-control": "no-cache" });
    response.end(JSON.stringify(body));
  }

  /** The status of the refusal, if the request is refused. */
  #refusal({ headers }: IncomingMessage): number | undefined {
    return isLoopbackHost(headers.host) && isDebuggerOrigin(headers.origin) ? undefined : 403;
  }

  #json({ url, method }: IncomingMessage): object | number {
    if (method !== "GET") return 405;
    if (url === "/json/version") return { Browser: `Millrace/${packageJson.version}`, "Protocol-Version": "1.3" };
    if (url !== "/json" && url !== "/json/" && url !== "/json/list") return 404;
    const { function: name } = this.#inspected;
    return this.targets.map((target, index) => ({
      ...target,
      description: "a function of Millrace",
      id: this.#ids[index],
      type: "node",
      url: `millrace://${name}/`,
    }));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => undefined); // It ends the connection, and nothing more depends on it.
    const index = this.#ids.indexOf((request.url ?? "").slice(1));
    const status = this.#refusal(request) ?? (index < 0 ? 404 : undefined);
    if (status !== undefined) {
      socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (client) => attach(client, index, this.#inspected));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function attach(client: WebSocket, index: number, inspected: InspectedFunction): void {
  const leave = (reason: string): void => client.close(GOING_AWAY, reason.slice(0, REASON_CHARS_MAX));
  let attachment: InspectorAttachment | undefined;
  attachment = inspected.attach(index, {
    // What comes back from the socket tells the isolate that it may say more.
    message: (text) => client.send(text, { binary: false }, () => attachment?.taken(text.length)),
    closed: leave,
  });
  if (attachment === undefined) return leave("its isolate is just being made; try again");
  const current = attachment;
  client.on("message", (data: RawData) => current.send(bytesOf(data)));
  client.on("close", () => current.detach());
  client.on("error", () => current.detach()); // Such as a message that is too large; `close` follows.
}

function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data);
  return Buffer.isBuffer(data) ? data : new Uint8Array(data);
}

function titleOf({ function: name, version, isolates }: InspectedFunction, index: number): string {
  const title = `${name} version ${version}`;
  return isolates === 1 ? title : `${title}, isolate ${index + 1} of ${isolates}`;
}
