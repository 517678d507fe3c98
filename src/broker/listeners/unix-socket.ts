import { once } from "node:events";
import { lstat, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { MillraceError, messageOf, systemCode } from "../../core/errors.ts";
import type { UnixPlace } from "./rules.ts";

/**
 * Listens on a Unix socket. A file that a killed process has left is removed when nobody answers on it. The server removes its own when it closes.
 *
 * @throws MillraceError PORT_IN_USE, LISTEN_FAILED
 */
export async function listenOnUnixSocket(server: Server, { socket, mode }: UnixPlace, what: string): Promise<void> {
  const fail = (code: "PORT_IN_USE" | "LISTEN_FAILED", problem: string, cause?: unknown): MillraceError =>
    new MillraceError(code, `${what} cannot listen on ${socket}: ${problem}`, { cause });
  const found = await clear(socket).catch((cause: unknown) => {
    throw fail("LISTEN_FAILED", messageOf(cause), cause);
  });
  if (found === "file") throw fail("LISTEN_FAILED", "there is a file that is no socket; remove it or choose another path");
  if (found === "answers") throw fail("PORT_IN_USE", "another program listens there");
  const listening = once(server, "listening");
  // The socket gets its mode as it is made, so that nobody connects before. Making it takes no turn of the event loop.
  const before = process.umask(0o777 & ~mode);
  try {
    server.listen({ path: socket });
  } finally {
    process.umask(before);
  }
  await listening.catch((cause: unknown) => {
    throw fail(systemCode(cause) === "EADDRINUSE" ? "PORT_IN_USE" : "LISTEN_FAILED", messageOf(cause), cause);
  });
}

async function clear(path: string): ReturnType<typeof foundAt> {
  const found = await foundAt(path);
  if (found === "left") await unlink(path);
  return found;
}

/** What is at a path: `left` is a socket at which nobody listens any more. @throws Error of the system when that cannot be seen */
export async function foundAt(path: string): Promise<"nothing" | "file" | "answers" | "left"> {
  const entry = await lstat(path).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  });
  if (entry === undefined) return "nothing";
  if (!entry.isSocket()) return "file";
  const client = connect({ path });
  try {
    await once(client, "connect");
    return "answers";
  } catch (error) {
    if (systemCode(error) !== "ECONNREFUSED") throw error;
  } finally {
    client.destroy();
  }
  return "left";
}
