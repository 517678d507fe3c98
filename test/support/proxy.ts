import { once } from "node:events";
import { connect, createServer, type Server } from "node:net";

export const PROXY_SIGNATURE = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

/** A PROXY header of version 2 as load balancers send it, with a TLV that is nobody's business. */
export function proxyHeader(command: number, family: number, addresses: readonly number[]): Buffer {
  const rest = Buffer.from([...addresses, 0xee, 0x00, 0x02, 0x01, 0x02]);
  return Buffer.concat([PROXY_SIGNATURE, Buffer.from([command, family, rest.length >> 8, rest.length & 255]), rest]);
}

/** A load balancer that says of everybody who comes the same. */
export async function proxyTo(place: { readonly port: number; readonly host: string }, header: Buffer): Promise<Server> {
  const server = createServer((client) => {
    const onward = connect(place);
    onward.write(header);
    client.pipe(onward).pipe(client);
    for (const socket of [client, onward]) socket.on("error", () => undefined);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
