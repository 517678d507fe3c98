import type { Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { peerAddress } from "../../core/addresses.ts";

/**
 * The header of version 2 that a load balancer sends before what its client sends:
 * https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt, section 2.2. What is optional in it (TLVs) is passed over.
 */
const SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const HEAD_BYTES = SIGNATURE.length + 4;
/** Addresses need 36 bytes, or 216 of Unix sockets; the rest is for TLVs. */
const REST_BYTES_MAX = 4_096;

const COMMAND = { local: 0x20, proxy: 0x21 };
/** Address family and transport. */
const TCP4 = 0x11;
const TCP6 = 0x21;
const UNIX_STREAM = 0x31;
const UNSPECIFIED = 0x00;
const ADDRESS_BYTES: Readonly<Record<number, number>> = { [UNSPECIFIED]: 0, [TCP4]: 12, [TCP6]: 36, [UNIX_STREAM]: 216 };

/**
 * Who is behind the load balancer. `local`: the balancer itself, which looks whether somebody is there. `unknown`: somebody of whom it does
 * not say an address.
 */
export type ProxySource = { readonly kind: "local" | "unknown" } | { readonly kind: "client"; readonly address: string };

/** Takes exactly the header from what the socket has. @throws Error when there is none, when it is of version 1, or malformed */
export async function readProxyHeader(socket: Socket): Promise<ProxySource> {
  const head = await take(socket, HEAD_BYTES);
  const length = restLength(head);
  const source = sourceOf(head, await take(socket, length));
  // Only then does a stream that nobody listens to any more know it, and tell the next listener of what it has.
  await nextTurn();
  return source;
}

/** How long what follows the first 16 bytes is. */
function restLength(head: Buffer): number {
  if (head.toString("latin1", 0, 6) === "PROXY ")
    throw new Error("the load balancer sends a PROXY header of version 1; set it to version 2, such as send-proxy-v2 of HAProxy");
  if (!head.subarray(0, SIGNATURE.length).equals(SIGNATURE)) throw new Error("there is no PROXY header");
  const length = head.readUInt16BE(SIGNATURE.length + 2);
  if (length > REST_BYTES_MAX) throw new Error(`the PROXY header has ${length} bytes after its head, at most ${REST_BYTES_MAX} are read`);
  return length;
}

function sourceOf(head: Buffer, rest: Buffer): ProxySource {
  const command = head.readUInt8(SIGNATURE.length);
  // What it says of addresses is to be passed over then.
  if (command === COMMAND.local) return { kind: "local" };
  if (command !== COMMAND.proxy) throw new Error(`the PROXY header has the version and command 0x${command.toString(16)}`);
  const family = head.readUInt8(SIGNATURE.length + 1);
  const needed = ADDRESS_BYTES[family];
  if (needed === undefined) throw new Error(`the PROXY header is for the transport 0x${family.toString(16)}, and MQTT comes over TCP`);
  if (rest.length < needed) throw new Error("the PROXY header is too short for its addresses");
  const address = family === TCP4 ? rest.subarray(0, 4).join(".") : family === TCP6 ? address6(rest) : undefined;
  return address === undefined ? { kind: "unknown" } : { kind: "client", address };
}

function address6(rest: Buffer): string | undefined {
  const groups = Array.from({ length: 8 }, (_, index) => rest.readUInt16BE(index * 2).toString(16));
  return peerAddress(groups.join(":"));
}

/** Leaves everything after these bytes in the stream. */
async function take(socket: Socket, bytes: number): Promise<Buffer> {
  if (bytes === 0) return Buffer.alloc(0);
  const taken = Promise.withResolvers<Buffer>();
  const look = (): void => {
    const piece: unknown = socket.read(bytes);
    if (Buffer.isBuffer(piece) && piece.length === bytes) taken.resolve(piece);
    // At its end a stream gives what it has.
    else if (piece !== null || socket.readableEnded || socket.destroyed) {
      taken.reject(new Error("the connection ended within the PROXY header"));
    }
  };
  // One listener until it is there: a new one is called at once for what has come before, however little that is.
  socket.on("readable", look).on("end", look);
  look();
  try {
    return await taken.promise;
  } finally {
    socket.off("readable", look).off("end", look);
  }
}
