import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { once } from "../core/lifecycle.ts";
import { listen } from "./listen.ts";

/** How long an answer that is being written may still take when the server is told to stop. */
const FINISH_MS = 1_000;

export interface HttpServer extends AsyncDisposable {
  /** `http://HOST:PORT` */
  readonly address: string;
  close(): Promise<void>;
}

/** @throws MillraceError PORT_IN_USE, LISTEN_FAILED */
export async function openHttpServer(
  fetch: (request: Request) => Response | Promise<Response>,
  at: { host: string; port: number },
): Promise<HttpServer> {
  const handle = getRequestListener(fetch, { overrideGlobalObjects: false });
  const server = createServer((request, response) => void handle(request, response));
  const port = await listen(server, at);
  const close = once(async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    const deadline = setTimeout(() => server.closeAllConnections(), FINISH_MS);
    await closed;
    clearTimeout(deadline);
  });
  return { address: `http://${at.host}:${port}`, close, [Symbol.asyncDispose]: close };
}
