import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { MillraceError } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { suggestion } from "../core/nearest.ts";
import { type CallBounds, callRoutes } from "./call-routes.ts";
import { body, failureOf } from "./failure.ts";
import { clientRoutes } from "./client-routes.ts";
import type { LogFollowers } from "./follow.ts";
import { inspectRoutes, type InspectStreams } from "./inspect.ts";
import { METRICS_CONTENT_TYPE, metricsText } from "./metrics.ts";
import type { JournalPages } from "./journal-pages.ts";
import type { HttpParts } from "./parts.ts";
import { replayRoutes } from "./replay-routes.ts";
import {
  bodyBytesMax,
  parseClearQuery,
  parseDeadLettersQuery,
  parseInvocation,
  parseJournalQuery,
  parseLogsQuery,
  tooLarge,
} from "./request.ts";
import { TraceViews } from "./trace-views.ts";
import { usageRoutes } from "./usage-routes.ts";

interface RoutesDeps {
  readonly followers: LogFollowers;
  readonly inspections: InspectStreams;
  readonly journal: JournalPages;
  readonly bounds: CallBounds;
  readonly logger: Logger;
}

/** Every route of the gateway's local HTTP. */
export function routes(parts: HttpParts, { followers, inspections, journal, bounds, logger }: RoutesDeps): Hono {
  const { payloadBytesMax } = bounds;
  const app = new Hono();
  app.get("/healthz", (c) => c.json({ status: "ok", program: "millrace gateway", gateway: parts.stats().gateway }));
  app.get("/readyz", (c) => (parts.ready() ? c.json({ status: "ready" }) : c.json({ status: "starting or stopping" }, 503)));
  app.get("/metrics", (c) => c.body(metricsText(parts.stats()), 200, { "content-type": METRICS_CONTENT_TYPE }));
  app.get("/v1/stats", (c) => c.json(parts.stats()));
  app.get("/v1/functions", (c) => c.json(parts.stats().functions));
  app.get("/v1/dead-letters", async (c) => {
    const { function: name, limit } = parseDeadLettersQuery(c);
    return c.json(await parts.deadLetters({ limit, ...(name === undefined ? {} : { function: name }) }));
  });
  app.get("/v1/journal", async (c) => c.json(await journal.page(parseJournalQuery(c), c.req.raw.signal)));
  app.delete("/v1/dead-letters", async (c) => c.json({ deleted: await parts.clearDeadLetters(parseClearQuery(c).function) }));
  app.get("/v1/logs", async (c) => {
    const { follow, ...query } = parseLogsQuery(c, Date.now());
    if (!follow) return c.json(await parts.logs(query, c.req.raw.signal));
    return c.body(followers.open(query, c.req.raw.signal), 200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
  });
  app.post("/v1/functions/:name/invoke", bodyLimit({ maxSize: bodyBytesMax(payloadBytesMax), onError: tooLarge }), async (c) => {
    const name = c.req.param("name");
    const names = parts.stats().functions.map((each) => each.name);
    if (!names.includes(name)) {
      throw new MillraceError("FUNCTION_UNKNOWN", `no function "${name}" runs on this gateway${suggestion(name, names)}`);
    }
    const { message, fetch } = await parseInvocation(c, payloadBytesMax);
    return c.json(await parts.invoke(name, message, { fetch }));
  });
  const traces = new TraceViews(parts);
  app.get("/v1/traces/:id", async (c) => c.json(await traces.find(c.req.param("id"), c.req.raw.signal)));
  inspectRoutes(app, inspections);
  clientRoutes(app, parts.clients);
  usageRoutes(app, parts.history);
  app.route("/", callRoutes(parts.calls, bounds, logger));
  replayRoutes(app, { replays: parts.replays, handIn: (request, messages) => parts.handIn(request, messages) }, payloadBytesMax);
  app.notFound((c) => c.json(body("NOT_FOUND", `nothing is at ${c.req.method} ${c.req.path}`), 404));
  app.onError((error, c) => {
    const failure = failureOf(error);
    if (failure.bug) logger.error({ err: error, path: c.req.path }, "request failed");
    return c.json(failure.body, failure.status);
  });
  return app;
}
