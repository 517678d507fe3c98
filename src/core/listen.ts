import { once } from "node:events";
import type { Server } from "node:net";
import { MillraceError, messageOf, systemCode } from "./errors.ts";

export interface Endpoint {
  /** A name or address of this machine. */
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
}

/**
 * Resolves to the endpoint with its real port once the server accepts connections. `what` says in an error who wanted the port: "the broker".
 *
 * @throws MillraceError PORT_IN_USE or LISTEN_FAILED, both naming host and port
 */
export async function listen(server: Server, endpoint: Endpoint, what: string): Promise<Endpoint> {
  const { host, port } = endpoint;
  const listening = once(server, "listening");
  server.listen({ host, port });
  try {
    await listening;
  } catch (cause) {
    if (systemCode(cause) === "EADDRINUSE") {
      throw new MillraceError("PORT_IN_USE", `${what} cannot listen on ${authority(endpoint)}: another program uses the port`, { cause });
    }
    throw new MillraceError("LISTEN_FAILED", `${what} cannot listen on ${authority(endpoint)}: ${messageOf(cause)}`, { cause });
  }
  const address = server.address();
  return { host, port: typeof address === "object" && address !== null ? address.port : port };
}

/** `host:port`, with the brackets that an IPv6 address needs. */
export function authority({ host, port }: Endpoint): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
