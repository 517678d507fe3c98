import { join } from "node:path";
import { createApi } from "./control/api.ts";
import { Catalog } from "./control/catalog.ts";
import { Distribution } from "./control/distribution.ts";
import { openEmbeddedLink } from "./control/embedded-link.ts";
import { EventLog } from "./control/event-log.ts";
import { Fleet } from "./control/fleet.ts";
import { lockFolder } from "./control/folder-lock.ts";
import { openHttpServer } from "./control/http-server.ts";
import { Ingest } from "./control/ingest.ts";
import { migrate } from "./control/migrations.ts";
import { openPGliteStore } from "./control/pglite-store.ts";
import { once, type Service } from "./core/lifecycle.ts";
import { encodeLink } from "./core/link.ts";
import type { Logger } from "./core/log.ts";

export interface ControlPlaneOptions {
  /** Folder of the store; created when missing. One process uses it at a time. */
  readonly data: string;
  /** Port 0 picks a free one. */
  readonly http: { readonly host: string; readonly port: number };
  readonly mqtt: { readonly host: string; readonly port: number };
}

export interface ControlPlane extends Service {
  /** `http://127.0.0.1:8340` and `mqtt://127.0.0.1:8884`, with the ports that were really opened. */
  readonly addresses: { readonly http: string; readonly mqtt: string };
  close(): Promise<void>;
}

/**
 * Opens the store, the link to the gateways and the API, in this order; what was opened is closed again when a later part fails.
 * @throws MillraceError DATA_LOCKED, DATA_UNWRITABLE, DISK_FULL, STORE_FAILED, PORT_IN_USE, LISTEN_FAILED
 */
export async function startControlPlane(options: ControlPlaneOptions, { logger }: { logger: Logger }): Promise<ControlPlane> {
  await using opening = new AsyncDisposableStack();
  const lock = await lockFolder(options.data);
  opening.defer(() => lock.release());
  const store = opening.use(await openPGliteStore(join(options.data, "pg")));
  await migrate(store);

  const catalog = new Catalog(store);
  const fleet = new Fleet(store);
  const events = new EventLog(store);
  const link = await openEmbeddedLink(options.mqtt, logger);
  const ingest = new Ingest(events, (gateway, ack) => link.publish(gateway, "events/ack", encodeLink(ack)), logger);
  opening.defer(() => ingest.close());
  // Closed before ingest, which still finishes the transaction it is in.
  opening.use(link);
  link.on("events", (gateway, payload) => ingest.offer(gateway, payload));
  const distribution = new Distribution({ link, catalog, fleet }, logger);

  const deployedChanged = (): Promise<void> => distribution.pushDesired();
  const ready = async (): Promise<void> => void (await events.count());
  const api = createApi({ catalog, fleet, events, ingest, deployedChanged, ready, startedAt: new Date() }, logger);
  const http = opening.use(await openHttpServer((request) => api.fetch(request), options.http));

  return running(opening.move(), store.broken, { http: http.address, mqtt: link.address });
}

function running(parts: AsyncDisposableStack, broken: Promise<Error>, addresses: ControlPlane["addresses"]): ControlPlane {
  const stopped = Promise.withResolvers<void>();
  const close = once(async () => {
    await parts.disposeAsync();
    stopped.resolve();
  });
  void broken.then((reason) => stopped.reject(reason));
  // Whoever does not watch `stopped` closes the control plane instead; it is not an unhandled rejection.
  stopped.promise.catch(() => undefined);
  return { addresses, stopped: stopped.promise, close, [Symbol.asyncDispose]: close };
}
