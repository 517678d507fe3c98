import type { HttpBindings } from "@hono/node-server";
import type { Socket } from "node:net";

/** What has to be told when a connection ends. */
const ends = new WeakMap<Socket, Set<AbortController>>();

/**
 * Aborted when the answer has been sent, or its connection has ended. An answer that waits for those to earlier requests of its connection is not
 * told by Node that this has ended (pipelining; RFC 9112, 9.3.2).
 */
export function overSignal({ incoming: { socket }, outgoing }: HttpBindings): AbortSignal {
  const over = new AbortController();
  if (socket.destroyed) {
    over.abort();
    return over.signal;
  }
  const open = ends.get(socket) ?? watch(socket);
  open.add(over);
  outgoing.once("close", () => {
    open.delete(over);
    over.abort();
  });
  return over.signal;
}

function watch(socket: Socket): Set<AbortController> {
  const open = new Set<AbortController>();
  ends.set(socket, open);
  socket.once("close", () => {
    for (const over of open) over.abort();
  });
  return open;
}

/** Ends the connection when its client has not taken the answer after `ms`: it would keep its place, and the answer in memory, for ever. */
export function boundSending(outgoing: HttpBindings["outgoing"], ms: number, over: AbortSignal): void {
  const begin = (): void => {
    const late = setTimeout(() => outgoing.destroy(), ms);
    over.addEventListener("abort", () => clearTimeout(late));
  };
  if (over.aborted) return;
  if (outgoing.socket === null) outgoing.once("socket", begin);
  else begin();
}
