import { createServer, type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createWebSocketStream, type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { mayConnect } from "./origins.ts";
import type { WebSocketRules } from "./rules.ts";

interface Waiting {
  readonly resolve: (stream: Duplex) => void;
  readonly reject: (error: Error) => void;
}

/** Names of MQTT as a sub-protocol: MQTT-6.0.0-3 and -4, and what clients of version 3.1 say. */
const SUB_PROTOCOLS = ["mqtt", "mqttv3.1"];
const UNSUPPORTED_DATA = 1003;
const CLOSE_MS_MAX = 3_000;

/** WebSocket over connections that a listener has taken. Packets may begin and end anywhere in frames [MQTT-6.0.0-2]. */
export class WebSockets {
  readonly #http: Server;
  readonly #server: WebSocketServer;
  readonly #waiting = new WeakMap<Duplex, Waiting>();
  readonly #rules: WebSocketRules;
  readonly #isSecure: boolean;

  /** `frameBytesMax` bounds a frame, and frames that belong together. */
  constructor(rules: WebSocketRules, { frameBytesMax, isSecure }: { readonly frameBytesMax: number; readonly isSecure: boolean }) {
    this.#rules = rules;
    this.#isSecure = isSecure;
    // The types do not name the time for the end of a connection.
    const options: ServerOptions & { closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: frameBytesMax,
      autoPong: false,
      closeTimeout: CLOSE_MS_MAX,
      handleProtocols: (offered) => SUB_PROTOCOLS.find((name) => offered.has(name)) ?? false,
    };
    this.#server = new WebSocketServer(options);
    this.#http = createServer((request, response) => {
      response.writeHead(426, { upgrade: "websocket", connection: "close", "content-type": "text/plain" });
      response.end("This is MQTT over WebSocket.\n");
      this.#fail(request.socket, "a request of HTTP that does not ask for WebSocket");
    });
    this.#http.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => this.#upgrade(request, stream, head));
    this.#http.on("clientError", (error, stream) => {
      this.#fail(stream, error.message);
      refuse(stream, 400);
    });
  }

  /** Rejects when the client asks for something else. Whoever destroys the socket ends it. */
  upgrade(stream: Socket): Promise<Duplex> {
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    this.#waiting.set(stream, { resolve, reject });
    stream.once("close", () => reject(new Error("the connection was closed within the WebSocket handshake")));
    this.#http.emit("connection", stream);
    return promise;
  }

  #upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    const refused = this.#problem(request);
    if (refused !== undefined) {
      this.#fail(stream, refused.problem);
      return refuse(stream, refused.status);
    }
    this.#server.handleUpgrade(request, stream, head, (socket) => this.#waiting.get(stream)?.resolve(streamOf(socket)));
  }

  #problem({ url = "", headers }: IncomingMessage): { status: number; problem: string } | undefined {
    const { origins, path } = this.#rules;
    if (url.split("?")[0] !== path) return { status: 404, problem: `the client asks for another path than ${path}` };
    const { origin, host } = headers;
    if (!mayConnect(origins, { origin, host, isSecure: this.#isSecure }))
      return { status: 403, problem: `the web page ${origin?.slice(0, 200)} is not in origins` };
    const offered = headers["sec-websocket-protocol"]?.split(",").map((name) => name.trim()) ?? [];
    if (!SUB_PROTOCOLS.some((name) => offered.includes(name)))
      return { status: 400, problem: "the client does not offer the sub-protocol mqtt" };
    return undefined;
  }

  #fail(stream: Duplex, problem: string): void {
    this.#waiting.get(stream)?.reject(new Error(problem));
  }
}

function streamOf(socket: WebSocket): Duplex {
  const stream = createWebSocketStream(socket);
  const [take] = socket.listeners("message");
  socket.removeAllListeners("message").on("message", (data, isBinary) => {
    if (isBinary) take?.call(socket, data, isBinary);
    else socket.close(UNSUPPORTED_DATA, "MQTT comes in binary frames"); // [MQTT-6.0.0-1]
  });
  answerPings(socket);
  return stream;
}

/** While an answer waits, only the latest ping gets one after it (RFC 6455, 5.5.3): a client that takes no answers fills no memory, however often it asks. */
function answerPings(socket: WebSocket): void {
  let latest: Buffer | undefined;
  let isAnswering = false;
  const answer = (): void => {
    if (latest === undefined || isAnswering) return;
    const data = latest;
    latest = undefined;
    isAnswering = true;
    socket.pong(data, false, () => {
      isAnswering = false;
      answer();
    });
  };
  socket.on("ping", (data: Buffer) => {
    latest = data;
    answer();
  });
}

/** The answer to what is no WebSocket handshake, as the last thing on the connection. */
function refuse(stream: Duplex, status: number): void {
  if (!stream.writable) return void stream.destroy();
  stream.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
}
