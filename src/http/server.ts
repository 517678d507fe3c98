import { createAdaptorServer } from "@hono/node-server";
import { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { once } from "../core/lifecycle.ts";
import { authority, type Endpoint, listen } from "../core/listen.ts";
import type { Logger } from "../core/log.ts";
import { CallPlaces } from "./call-places.ts";
import { LogFollowers } from "./follow.ts";
import { InspectStreams } from "./inspect.ts";
import { JournalPages } from "./journal-pages.ts";
import type { HttpParts } from "./parts.ts";
import { routes } from "./routes.ts";

const CONNECTIONS_MAX = 512;
/** Time for the lines before a body, from the connection or the answer before on. */
const HEADERS_MS_MAX = 10_000;
/** Time for a whole request; those for functions have a shorter one of their own. */
const REQUEST_MS_MAX = 300_000;
/** How often connections are looked at for what is too late. */
const LOOK_MS = 1_000;
/** How long a connection may be idle between two requests. */
const KEEP_ALIVE_MS = 5_000;
/** Then it is closed, so that a client that never leaves comes in anew now and then. */
const REQUESTS_PER_CONNECTION_MAX = 10_000;
/** How long an answer that is being computed may still take when the server closes. */
const CLOSE_GRACE_MS = 250;

export interface HttpOptions extends Endpoint {
  /** Largest payload of an invocation or a request, in bytes; 1 MB unless given. */
  readonly payloadBytesMax?: number;
  /** Of requests for functions; those with 32 MB for their bodies unless given. */
  readonly places?: CallPlaces;
  /** How long a caller of a function may take to send its request, and again to take the answer, in milliseconds; 30 s unless given. */
  readonly requestTimeoutMs?: number;
}

export interface HttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:8330` */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * The gateway's local HTTP: health, metrics, stats, logs, invocations. Closing ends followers and idle connections at once.
 *
 * @throws MillraceError PORT_IN_USE or LISTEN_FAILED
 */
export async function startHttp(options: HttpOptions, parts: HttpParts, deps: { logger: Logger }): Promise<HttpServer> {
  const followers = new LogFollowers(parts);
  const journal = new JournalPages(parts.journal);
  const inspections = new InspectStreams(parts);
  const { payloadBytesMax = 1024 ** 2, places = new CallPlaces(32 * 1024 ** 2), requestTimeoutMs = 30_000 } = options;
  const bounds = { payloadBytesMax, places, requestTimeoutMs };
  const app = routes(parts, { followers, inspections, journal, bounds, logger: deps.logger });
  const serverOptions = {
    keepAlive: true,
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: HEADERS_MS_MAX,
    requestTimeout: Math.max(REQUEST_MS_MAX, 2 * requestTimeoutMs),
    connectionsCheckingInterval: LOOK_MS,
  };
  const server = createAdaptorServer({ fetch: app.fetch, serverOptions });
  if (!(server instanceof Server)) throw new Error("an HTTP/1 server was asked for");
  server.maxConnections = CONNECTIONS_MAX;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  const bound = await listen(server, options, "the gateway's HTTP");
  const close = once(() => closeServer(server, [followers, inspections, journal]));
  return { address: `http://${authority(bound)}`, close, [Symbol.asyncDispose]: close };
}

async function closeServer(server: Server, waiting: readonly { close(): void }[]): Promise<void> {
  for (const each of waiting) each.close();
  const closed = new Promise<void>((resolve, reject) => server.close((error) => (error === undefined ? resolve() : reject(error))));
  const done = new AbortController();
  const grace = sleep(CLOSE_GRACE_MS, undefined, { signal: done.signal }).then(
    () => server.closeAllConnections(),
    () => undefined,
  );
  await closed;
  done.abort();
  await grace;
}
