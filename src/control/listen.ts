import type { AddressInfo, Server } from "node:net";
import { MillraceError, messageOf, systemCode } from "../core/errors.ts";

/**
 * Opens a server's port, 0 for a free one, and answers the port.
 * @throws MillraceError PORT_IN_USE, LISTEN_FAILED
 */
export async function listen(server: Server, { host, port }: { host: string; port: number }): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ host, port }, () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (cause) {
    if (systemCode(cause) === "EADDRINUSE") throw new MillraceError("PORT_IN_USE", `port ${port} on ${host} is in use`, { cause });
    throw new MillraceError("LISTEN_FAILED", `cannot listen on ${host}:${port}: ${messageOf(cause)}`, { cause });
  }
  return portOf(server.address());
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("the server listens on no TCP port");
  return address.port;
}
