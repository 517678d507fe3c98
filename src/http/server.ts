import { createAdaptorServer } from "@hono/node-server";
import { Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { once } from "../core/lifecycle.ts";
import { authority, type Endpoint, listen } from "../core/listen.ts";
import type { Logger } from "../core/log.ts";
import { LogFollowers } from "./follow.ts";
import { InspectStreams } from "./inspect.ts";
import { JournalPages } from "./journal-pages.ts";
import type { HttpParts } from "./parts.ts";
import { routes } from "./routes.ts";

const CONNECTIONS_MAX = 512;
/** How long an answer that is being computed may still take when the server closes. */
const CLOSE_GRACE_MS = 250;

export interface HttpOptions extends Endpoint {
  /** Largest payload of an invocation, in bytes. */
  readonly payloadBytesMax?: number;
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
  const app = routes(parts, {
    followers,
    inspections,
    journal,
    payloadBytesMax: options.payloadBytesMax ?? 1024 ** 2,
    logger: deps.logger,
  });
  const server = createAdaptorServer({ fetch: app.fetch, serverOptions: { keepAlive: true } });
  if (!(server instanceof Server)) throw new Error("an HTTP/1 server was asked for");
  server.maxConnections = CONNECTIONS_MAX;
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
