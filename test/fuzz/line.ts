import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { WebSocket } from "ws";
import type { Dice } from "./dice.ts";

/** A connection to the broker, whatever carries it. */
export interface Line {
  write(bytes: Buffer): void;
  /** Says that nothing more comes. */
  close(): void;
  reset(): void;
  pause(): void;
  readonly isClosed: boolean;
  readonly closed: Promise<void>;
}

/** Where the broker is. */
export interface Addresses {
  readonly tcp: string;
  readonly webSocket: string;
}

type Take = (bytes: Buffer) => void;

/** @throws Error when it cannot connect */
export async function openTcp(address: string, from: string, take: Take): Promise<Line> {
  const { hostname: host, port } = new URL(address);
  const socket = connect({ host, port: Number(port), localAddress: from, noDelay: true });
  socket.on("error", () => undefined); // Its end says the same.
  await once(socket, "connect");
  socket.on("data", take);
  return lineOf(socket, {
    write: (bytes) => void socket.write(bytes),
    close: () => void socket.end(),
    pause: () => void socket.pause(),
  });
}

/** With `tricks` frames are cut, mixed with pings, and now and then broken. @throws Error when it cannot connect */
export async function openWebSocket(address: string, from: string, take: Take, tricks?: Dice): Promise<Line> {
  const socket = new WebSocket(address, ["mqtt"], { localAddress: from, perMessageDeflate: false, closeTimeout: 3_000 } as object);
  socket.binaryType = "nodebuffer";
  socket.on("message", (data: Buffer) => take(data));
  await once(socket, "open");
  socket.on("error", () => undefined); // Its end says the same.
  const below = Reflect.get(socket, "_socket") as Socket;
  const write = (bytes: Buffer): void => {
    if (socket.readyState !== WebSocket.OPEN) return;
    if (tricks === undefined) socket.send(bytes);
    else trick(socket, below, bytes, tricks);
  };
  return lineOf(below, { write, close: () => socket.close(), pause: () => socket.pause() });
}

function trick(socket: WebSocket, below: Socket, bytes: Buffer, dice: Dice): void {
  const kind = dice.weighted({ fragments: 10, pings: 5, empty: 3, whole: 5, text: 1, broken: 1 });
  if (kind === "broken") below.write(dice.bytes(1 + dice.below(20)));
  if (kind === "text") return socket.send(bytes.toString("latin1"));
  if (kind === "pings") for (let left = dice.below(50); left >= 0; left--) socket.ping(dice.bytes(dice.below(125)));
  if (kind === "empty") socket.send(Buffer.alloc(0));
  const middle = dice.below(bytes.length + 1);
  if (kind !== "fragments") return socket.send(bytes);
  socket.send(bytes.subarray(0, middle), { fin: false });
  socket.send(bytes.subarray(middle), { fin: true });
}

function lineOf(socket: Socket, own: Pick<Line, "write" | "close" | "pause">): Line {
  const closed = new Promise<void>((resolve) => {
    if (socket.destroyed) resolve();
    else socket.once("close", () => resolve());
  });
  return {
    ...own,
    write: (bytes) => {
      if (socket.writable) own.write(bytes);
    },
    reset: () => void (socket.readyState === "open" ? socket.resetAndDestroy() : socket.destroy()),
    get isClosed() {
      return socket.destroyed;
    },
    closed,
  };
}
