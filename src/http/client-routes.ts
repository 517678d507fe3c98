import type { Hono } from "hono";
import { z } from "zod";
import type { ClientSource } from "../core/client-info.ts";
import { MillraceError } from "../core/errors.ts";
import { parse } from "./request.ts";

const clientsQuery = z.strictObject({
  user: z.string().exactOptional(),
  limit: z.coerce.number().pipe(z.int().min(1).max(10_000)).default(100),
});

/** Who is connected to the broker, and whose session waits there. */
export function clientRoutes(app: Hono, clients: ClientSource): void {
  app.get("/v1/clients", (c) => c.json(clients.list(parse(clientsQuery, c.req.query()))));
  app.get("/v1/sessions", (c) => c.json(clients.sessionsAway(parse(clientsQuery, c.req.query()))));
  app.delete("/v1/clients/:id", (c) => {
    const id = c.req.param("id");
    if (!clients.disconnect(id)) throw new MillraceError("NOT_FOUND", `no client "${id.slice(0, 100)}" is connected`);
    return c.json({ disconnected: id });
  });
  app.delete("/v1/sessions/:id", async (c) => {
    const id = c.req.param("id");
    if (!(await clients.forget(id))) throw new MillraceError("NOT_FOUND", `no client "${id.slice(0, 100)}" has a session`);
    return c.json({ forgotten: id });
  });
}
