import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Socket } from "node:net";
import { createRequire } from "node:module";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { installPacketEncoder } from "../../../src/broker/encode.ts";
import { holdWrites } from "../../../src/broker/outgoing.ts";
import { Turn } from "../../../src/broker/turn.ts";

interface Library {
  generate(packet: object, options: { protocolVersion: number }): Buffer;
  writeToStream(packet: object, stream: object, options: { protocolVersion: number }): boolean;
}
const library = createRequire(import.meta.resolve("aedes"))("mqtt-packet") as Library;

const id = fc.integer({ min: 1, max: 65_535 });
const topic = fc.oneof(fc.string({ minLength: 1, maxLength: 200 }), fc.string({ unit: "binary", minLength: 1, maxLength: 50 }));
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.constantFrom(120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16_370, 16_383, 16_384, 70_000).map((size) => new Uint8Array(size)),
);
const properties = fc.constantFrom(undefined, {}, { userProperties: { a: "1" } }, { contentType: "application/json" });
const publish = fc.record({
  cmd: fc.constant("publish"),
  topic,
  payload: payload.map((bytes) => Buffer.from(bytes)),
  qos: fc.constantFrom(0, 1, 2),
  retain: fc.boolean(),
  dup: fc.boolean(),
  messageId: id,
  properties,
});
const puback = fc.record({ cmd: fc.constant("puback"), messageId: id, reasonCode: fc.constantFrom(undefined, 0, 16, 0x97), properties });
const other = fc.record({ cmd: fc.constantFrom("pubrec", "pubrel", "pubcomp"), messageId: id, reasonCode: fc.constant(0) });
const ping = fc.constant({ cmd: "pingresp" });
const packets = fc.array(fc.oneof({ weight: 4, arbitrary: publish }, { weight: 3, arbitrary: puback }, other, ping), {
  minLength: 1,
  maxLength: 40,
});

const open: Socket[] = [];
const server = createServer();

/** Both ends of a connection; writes to the first are held. */
async function pair(): Promise<[Socket, Socket]> {
  const { port } = server.address() as AddressInfo;
  const far = connect(port, "127.0.0.1");
  const [near] = (await once(server, "connection")) as [Socket];
  open.push(near, far);
  holdWrites(near, new Turn());
  return [near, far];
}

beforeAll(async () => {
  installPacketEncoder();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
afterAll(() => {
  for (const socket of open) socket.destroy();
  server.close();
});

describe("the packet encoder", () => {
  it("writes what the library would have written, for any packets in any version", async () => {
    await fc.assert(
      fc.asyncProperty(packets, fc.constantFrom(3, 4, 5), async (list, protocolVersion) => {
        const expected = Buffer.concat(list.map((packet) => library.generate(packet, { protocolVersion })));
        const [near, far] = await pair();
        const received: Buffer[] = [];
        far.on("data", (chunk: Buffer) => received.push(chunk));
        for (const packet of list) library.writeToStream(packet, near, { protocolVersion });
        near.end();
        await once(far, "end");
        expect(Buffer.concat(received).equals(expected)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it("leaves streams that are not held to the library", () => {
    const chunks: unknown[] = [];
    const stream = { write: (chunk: unknown) => chunks.push(chunk) > 0 };
    library.writeToStream({ cmd: "puback", messageId: 7, reasonCode: 0 }, stream, { protocolVersion: 4 });
    expect(chunks.length).toBeGreaterThan(1);
  });
});

describe("held writes", () => {
  it("tell a writer to wait while the peer does not read, and to go on when it does", async () => {
    const [near, far] = await pair();
    far.pause();
    const piece = Buffer.alloc(1_000, "x");
    let sent = 0;
    while (near.write(piece)) {
      sent += piece.length;
      if (sent % 50_000 === 0) await new Promise((resolve) => setImmediate(resolve));
      expect(sent).toBeLessThan(64 * 1024 * 1024);
    }
    sent += piece.length;
    const drained = once(near, "drain");
    let received = 0;
    far.on("data", (chunk: Buffer) => (received += chunk.length));
    far.resume();
    await drained;
    expect(near.write(piece)).toBe(true);
    near.end();
    await once(far, "end");
    expect(received).toBe(sent + piece.length);
  });

  it("say drain also when the socket took everything at once", async () => {
    const [near, far] = await pair();
    far.resume();
    while (near.write(Buffer.alloc(1_000))) expect(near.destroyed).toBe(false);
    await once(near, "drain");
    expect(near.write("more")).toBe(true);
  });

  it("give the kernel what was written before the socket is destroyed, and nothing of what comes after", async () => {
    const [near, far] = await pair();
    const received: Buffer[] = [];
    far.on("data", (chunk: Buffer) => received.push(chunk));
    for (let i = 0; i < 20; i++) near.write("before ");
    near.destroy();
    near.write("after");
    await once(far, "close");
    expect(String(Buffer.concat(received))).toBe("before ".repeat(20));
  });

  it("keep the order of small pieces, texts, large ones and those with a callback", async () => {
    const [near, far] = await pair();
    const received: Buffer[] = [];
    far.on("data", (chunk: Buffer) => received.push(chunk));
    near.write("é1 ");
    near.write(Buffer.alloc(100_000, "2"));
    near.write(" 3 ");
    const called = Promise.withResolvers<void>();
    near.write("4 ", () => called.resolve());
    near.write("NSA=", "base64");
    await called.promise;
    near.end("6");
    await once(far, "end");
    expect(String(Buffer.concat(received))).toBe(`é1 ${"2".repeat(100_000)} 3 4 5 6`);
  });
});
