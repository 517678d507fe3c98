/**
 * A broker that does nothing but acknowledge publishes and pass their bytes on to whoever subscribed: the upper bound of what the load
 * generator can do, which shows that it is not what the other rows measure. Prints its port.
 */
import { createServer, type Socket } from "node:net";
import { encodePubacks, PacketReader, TYPE } from "../load/codec.ts";

const subscribers = new Set<Socket>();

function serve(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("close", () => subscribers.delete(socket));
  let acks: number[] = [];
  let copies: Buffer[] = [];
  const packets = new PacketReader((first, bytes, start, end) => {
    const type = first >> 4;
    if (type === TYPE.CONNECT) socket.write(Buffer.from([TYPE.CONNACK << 4, 2, 0, 0]));
    if (type === TYPE.SUBSCRIBE) {
      subscribers.add(socket);
      socket.write(Buffer.from([TYPE.SUBACK << 4, 3, bytes[start] ?? 0, bytes[start + 1] ?? 0, 1]));
    }
    if (type !== TYPE.PUBLISH) return;
    acks.push(bytes.readUInt16BE(start + 2 + bytes.readUInt16BE(start)));
    // Its packets are shorter than 128 bytes, so the fixed header has two.
    copies.push(bytes.subarray(start - 2, end));
  });
  socket.on("data", (chunk: Buffer) => {
    packets.read(chunk);
    if (acks.length === 0) return;
    socket.write(encodePubacks(acks));
    const bytes = Buffer.concat(copies);
    for (const subscriber of subscribers) subscriber.write(bytes);
    acks = [];
    copies = [];
  });
}

const server = createServer(serve).listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`${JSON.stringify({ port: typeof address === "object" ? address?.port : 0 })}\n`);
});
process.on("SIGTERM", () => process.exit(0));
