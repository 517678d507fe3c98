import type { Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { z } from "zod";
import { BUNDLE_BYTES_MAX, decodeBundle } from "../core/bundle.ts";
import { fromLine, recordedSchema } from "../core/recording.ts";
import type { HttpParts, ReplayRequest } from "./parts.ts";
import { bodyBytesMax, parse, parseBody, tooLarge } from "./request.ts";

/** Messages on a page of a replay, and bytes of its body unless one message may be larger. */
const PAGE_MESSAGES_MAX = 1_000;
const PAGE_BYTES_MAX = 16 * 1024 * 1024;

const beginBody = z
  .strictObject({
    function: z.string().optional(),
    version: z.int().min(0).optional(),
    bundle: z.base64().optional(),
    state: z.enum(["current", "empty"]).default("current"),
  })
  .refine((sent) => (sent.function === undefined) !== (sent.bundle === undefined), {
    error: "exactly one of function (a name) and bundle (base64) is needed",
  });

const messages = z.array(recordedSchema).min(1).max(PAGE_MESSAGES_MAX);
const messagesBody = z.strictObject({ messages });
const handInBody = z.strictObject({ function: z.string(), version: z.int().min(0).optional(), messages });

/** A replay is begun, handed messages page by page, and ended. With POST /v1/journal messages are handed in as new ones. */
export function replayRoutes(app: Hono, { replays, handIn }: Pick<HttpParts, "replays" | "handIn">, payloadBytesMax: number): void {
  const beginLimit = bodyLimit({ maxSize: BUNDLE_BYTES_MAX * 2, onError: tooLarge });
  app.post("/v1/replays", beginLimit, async (c) => {
    const begun = await replays.begin(await parseBegin(c));
    // Nobody else knows the id, so nobody else could end it.
    if (c.req.raw.signal.aborted) await replays.end(begun.id);
    return c.json(begun);
  });
  const pageLimit = bodyLimit({ maxSize: Math.max(PAGE_BYTES_MAX, bodyBytesMax(payloadBytesMax)), onError: tooLarge });
  app.post("/v1/replays/:id/messages", pageLimit, async (c) => {
    const page = parse(messagesBody, await parseBody(c));
    return c.json(await replays.handle(c.req.param("id"), page.messages.map(fromLine)));
  });
  app.post("/v1/journal", pageLimit, async (c) => {
    const { messages: lines, ...request } = parse(handInBody, await parseBody(c));
    return c.json({ handedIn: await handIn(request, lines.map(fromLine)) });
  });
  app.delete("/v1/replays/:id", async (c) => {
    await replays.end(c.req.param("id"));
    return c.json({ ended: true });
  });
}

async function parseBegin(context: Context): Promise<ReplayRequest> {
  const { function: name, bundle, version, state } = parse(beginBody, await parseBody(context));
  return { version, state, of: name ?? decodeBundle(Buffer.from(bundle ?? "", "base64")) };
}
