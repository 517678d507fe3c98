import { createServer, isIPv4, type Server, type Socket } from "node:net";
import { resolve } from "node:path";
import type { Duplex } from "node:stream";
import { isLoopback, peerAddress } from "../../core/addresses.ts";
import { messageOf } from "../../core/errors.ts";
import { authority, listen } from "../../core/listen.ts";
import type { Logger } from "../../core/log.ts";
import type { ListenerStats } from "../../core/listener-stats.ts";
import type { Arrival } from "../arrival.ts";
import { LimitedLog } from "./limited-log.ts";
import { readProxyHeader, type ProxySource } from "./proxy-header.ts";
import type { ListenerRules } from "./rules.ts";
import { certificateOf, TlsHandshakes } from "./tls-handshakes.ts";
import { listenOnUnixSocket } from "./unix-socket.ts";
import { WebSockets } from "./web-sockets.ts";

/** What connections are handed to, as soon as MQTT may begin on them. */
export type Accept = (stream: Duplex, arrival: Arrival) => void;

export interface ListenerLimits {
  /** How long the PROXY header and the handshakes of a connection may take together. */
  readonly handshakeMsMax: number;
  /** Of WebSocket. */
  readonly frameBytesMax: number;
}

/** A connection on its way to the broker. */
interface Opening {
  readonly socket: Socket;
  /** What the next step reads. */
  stream: Duplex;
  source?: ProxySource;
  certificate?: Arrival["certificate"];
}

const ERROR_LENGTH_MAX = 300;

/** One place at which clients of the broker arrive. It takes connections from `listen` until `close`. */
export class Listener {
  readonly #rules: ListenerRules;
  readonly #limits: ListenerLimits;
  readonly #accept: Accept;
  readonly #logger: Logger;
  readonly #log: LimitedLog;
  readonly #server: Server;
  #tls: TlsHandshakes | undefined;
  readonly #webSockets: WebSockets | undefined;
  readonly #open = new Set<Socket>();
  #at: ListenerRules["at"];
  #handshakes = 0;
  #accepted = 0;
  #refused = 0;
  #failed = 0;

  constructor(rules: ListenerRules, to: { limits: ListenerLimits; accept: Accept; logger: Logger }) {
    this.#rules = rules;
    this.#at = rules.at;
    this.#limits = to.limits;
    this.#accept = to.accept;
    this.#logger = to.logger.child({ listener: rules.name });
    this.#log = new LimitedLog(this.#logger);
    const { frameBytesMax } = to.limits;
    const isSecure = rules.tls !== undefined;
    this.#webSockets = rules.webSocket === undefined ? undefined : new WebSockets(rules.webSocket, { frameBytesMax, isSecure });
    this.#server = createServer({ noDelay: true }, (socket) => this.#take(socket));
  }

  /** Reads the certificates. @throws MillraceError FILE_UNREADABLE, CERTIFICATE_INVALID */
  async prepare(): Promise<void> {
    const { tls } = this.#rules;
    if (tls !== undefined) this.#tls = await TlsHandshakes.create(tls, this.#logger);
  }

  /** @throws MillraceError PORT_IN_USE, LISTEN_FAILED */
  async listen(): Promise<void> {
    const { name, at } = this.#rules;
    const what = name === "default" ? "the broker" : `the listener "${name}" of the broker`;
    if ("socket" in at) await listenOnUnixSocket(this.#server, at, what);
    else this.#at = await listen(this.#server, at, what);
    this.#server.on("error", (error) => this.#log.warn({ error: messageOf(error) }, "connections could not be taken"));
  }

  /** Where it listens: `mqtts://0.0.0.0:8883`, `ws://127.0.0.1:8083/mqtt`, `mqtt+unix:///run/mqtt.sock`. */
  get address(): string {
    const { tls, webSocket } = this.#rules;
    if ("socket" in this.#at) return `mqtt+unix://${resolve(this.#at.socket)}`;
    const scheme = `${webSocket === undefined ? "mqtt" : "ws"}${tls === undefined ? "" : "s"}`;
    return `${scheme}://${authority(this.#at)}${webSocket?.path ?? ""}`;
  }

  get stats(): ListenerStats {
    return {
      name: this.#rules.name,
      address: this.address,
      connections: this.#open.size,
      handshakes: this.#handshakes,
      accepted: this.#accepted,
      refused: this.#refused,
      failed: this.#failed,
    };
  }

  /** Looks at its certificates. */
  reload(): void {
    this.#tls?.reload();
  }

  /** Takes nothing more. Resolves when the last connection has ended. */
  async close(): Promise<void> {
    this.#tls?.[Symbol.dispose]();
    if (!this.#server.listening) return;
    await new Promise<void>((done) => this.#server.close(() => done()));
  }

  /** Ends what is still connected. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #take(socket: Socket): void {
    const { at, connectionsMax, handshakesMax, tls, webSocket, proxies } = this.#rules;
    socket.on("error", () => undefined); // Whoever has the connection hears of its end.
    // It was reset before it was taken. What it has sent is still there, and nobody knows who has sent it.
    if (!("socket" in at) && peerOf(socket) === undefined) return void socket.destroy();
    const most = this.#open.size >= connectionsMax ? "connections" : this.#handshakes >= handshakesMax ? "handshakes" : undefined;
    if (most !== undefined) {
      this.#refused++;
      this.#log.warn({ [most]: most === "connections" ? connectionsMax : handshakesMax }, `a connection was closed: too many ${most}`);
      socket.destroy();
      return;
    }
    this.#accepted++;
    this.#open.add(socket);
    socket.once("close", () => this.#open.delete(socket));
    if (tls === undefined && webSocket === undefined && proxies === undefined) this.#accept(socket, arrivalOf(this.#rules, { socket }));
    else void this.#begin(socket);
  }

  async #begin(socket: Socket): Promise<void> {
    this.#handshakes++;
    const opening: Opening = { socket, stream: socket };
    const { handshakeMsMax } = this.#limits;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      socket.destroy();
    }, handshakeMsMax);
    const closed = new Promise<never>((_resolve, reject) => {
      socket.once("close", () => {
        clearTimeout(timer);
        reject(new Error(isLate ? `it did not end within ${handshakeMsMax} ms` : "the client closed the connection"));
      });
    });
    try {
      await Promise.race([this.#steps(opening), closed]);
      clearTimeout(timer);
      this.#accept(opening.stream, arrivalOf(this.#rules, opening));
    } catch (error) {
      this.#fail(opening, error);
    } finally {
      this.#handshakes--;
    }
  }

  /** Goes through what comes before MQTT on this listener. */
  async #steps(opening: Opening): Promise<void> {
    const { proxies } = this.#rules;
    const { socket } = opening;
    if (proxies !== undefined) {
      if (!isAmong(proxies, peerOf(socket))) throw new Error("it does not come from one of the proxies of this listener");
      opening.source = await readProxyHeader(socket);
    }
    if (this.#tls !== undefined) {
      const secured = await this.#tls.secure(socket);
      secured.on("error", () => undefined);
      opening.stream = secured;
      opening.certificate = certificateOf(secured);
    }
    if (this.#webSockets !== undefined) opening.stream = await this.#webSockets.upgrade(opening.stream as Socket);
  }

  #fail({ socket, stream, source }: Opening, error: unknown): void {
    // Load balancers and people look whether a port is open; nothing is wrong with that.
    const isProbe = socket.destroyed && (socket.bytesRead === 0 || source?.kind === "local");
    if (!isProbe) {
      this.#failed++;
      const address = source?.kind === "client" ? source.address : peerOf(socket);
      this.#log.warn({ address, error: messageOf(error).slice(0, ERROR_LENGTH_MAX) }, "a connection failed before MQTT began on it");
    }
    // What has been answered, such as an alert of TLS, goes out first; the time for the handshake goes on until it has.
    if (!stream.destroyed) (stream as Socket).destroySoon();
  }
}

/** The other end, which may be a proxy; undefined on a Unix socket. */
function peerOf({ remoteAddress }: Socket): string | undefined {
  return peerAddress(remoteAddress ?? "");
}

function isAmong(proxies: NonNullable<ListenerRules["proxies"]>, peer: string | undefined): boolean {
  if (proxies === "any") return true;
  return peer !== undefined && proxies.check(peer, isIPv4(peer) ? "ipv4" : "ipv6");
}

function arrivalOf({ name, at, anonymous }: ListenerRules, { socket, source, certificate }: Omit<Opening, "stream">): Arrival {
  const peer = peerOf(socket);
  const address = source?.kind === "client" ? source.address : peer;
  // What a proxy on another machine calls its loopback is not ours, and of whom it knows nothing may come from anywhere.
  const isLoopbackOnly = [peer, address].every((each) => each !== undefined && isLoopback(each)) && source?.kind !== "unknown";
  const isLocal = isLoopbackOnly || "socket" in at;
  return {
    listener: name,
    anonymous: anonymous === "all" || (anonymous === "local" && isLocal),
    address,
    isLocal,
    ...(certificate === undefined ? {} : { certificate }),
  };
}
