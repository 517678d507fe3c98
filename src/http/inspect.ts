import { getConnInfo } from "@hono/node-server/conninfo";
import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { isLoopback, peerAddress } from "../core/addresses.ts";
import { MillraceError } from "../core/errors.ts";
import { DevToolsServer } from "./devtools-server.ts";
import { isDebuggerOrigin, isLoopbackHost } from "./loopback.ts";
import type { HttpParts, InspectionEnd } from "./parts.ts";
import { parse, parseBody, tooLarge } from "./request.ts";

/** JSON may write a character of a source as six. */
const BODY_BYTES_MAX = 16 * 1024 * 1024;
const FOR_MS_MAX = 8 * 3_600_000;

const inspectBody = z.strictObject({
  forMs: z.int().min(1_000).max(FOR_MS_MAX),
  port: z.int().min(0).max(65_535),
  sources: z.record(z.string().max(1_024), z.string()).default({}),
});

interface InspectRequest extends z.infer<typeof inspectBody> {
  readonly name: string;
  /** Aborts when the client has gone. */
  readonly signal: AbortSignal;
}

/** Inspections last as long as their answer is read: one line of JSON when a debugger can attach, and one that says why it is over. */
export class InspectStreams {
  readonly #begin: HttpParts["inspect"];
  readonly #stop = new AbortController();

  constructor({ inspect }: Pick<HttpParts, "inspect">) {
    this.#begin = inspect;
  }

  /** @throws MillraceError what beginning an inspection throws, PORT_IN_USE, LISTEN_FAILED */
  async open({ name, port, signal, ...wish }: InspectRequest): Promise<ReadableStream<Uint8Array>> {
    const gone = new AbortController();
    const over = Promise.withResolvers<InspectionEnd>();
    const all = AbortSignal.any([signal, gone.signal, this.#stop.signal]);
    const inspected = await this.#begin(name, { ...wish, ended: over.resolve, signal: all });
    const server = await DevToolsServer.open(port, inspected).catch((error: unknown) => {
      gone.abort();
      throw error;
    });
    const { function: its, version, digest } = inspected;
    const ready = { event: "ready", function: its, version, digest, address: server.address, targets: server.targets };
    return new ReadableStream({
      start: (controller) => {
        const finish = async (): Promise<void> => {
          const end = await over.promise;
          await server.close();
          if (gone.signal.aborted) return;
          controller.enqueue(lineOf({ event: "ended", ...end }));
          controller.close();
        };
        controller.enqueue(lineOf(ready));
        void finish(); // Not awaited, or nothing would be read before the end.
      },
      cancel: () => gone.abort(),
    });
  }

  /** Ends all of them. */
  close(): void {
    this.#stop.abort();
  }
}

export function inspectRoutes(app: Hono, streams: InspectStreams): void {
  app.post("/v1/functions/:name/inspect", bodyLimit({ maxSize: BODY_BYTES_MAX, onError: tooLarge }), async (c) => {
    checkOrigin(c);
    const request = parse(inspectBody, await parseBody(c));
    const lines = await streams.open({ name: c.req.param("name"), ...request, signal: c.req.raw.signal });
    return c.body(lines, 200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
  });
}

/** Whoever debugs a function can make it do anything, so it is for this machine only. @throws MillraceError INSPECTION_REFUSED */
function checkOrigin(c: Context): void {
  const peer = peerAddress(getConnInfo(c).remote.address ?? "");
  const isLocal = peer !== undefined && isLoopback(peer) && isLoopbackHost(c.req.header("host"));
  if (isLocal && isDebuggerOrigin(c.req.header("origin"))) return;
  throw new MillraceError("INSPECTION_REFUSED", "functions are inspected only from the machine of their gateway, at a loopback address");
}

function lineOf(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
