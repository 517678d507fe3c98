import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { BUNDLE_BYTES_MAX } from "../core/bundle.ts";
import { type ControlStats, DIGEST_HEADER, EVENTS_LIMIT, FUNCTION_NAME, type FunctionInfo } from "../core/control-api.ts";
import { MillraceError } from "../core/errors.ts";
import type { Logger } from "../core/log.ts";
import { suggestion } from "../core/nearest.ts";
import { z } from "zod";
import type { Catalog } from "./catalog.ts";
import type { EventLog } from "./event-log.ts";
import type { Fleet } from "./fleet.ts";
import { errorAnswer } from "./http-errors.ts";
import { openapi } from "./openapi.ts";

export interface ApiParts {
  readonly catalog: Catalog;
  readonly fleet: Fleet;
  readonly events: EventLog;
  /** Counters since the start. */
  readonly ingest: { readonly counters: ControlStats["ingest"] };
  /** Called after the set of deployed versions changed. */
  readonly deployedChanged: () => Promise<void>;
  /** Rejects when the control plane cannot serve. */
  readonly ready: () => Promise<void>;
  readonly startedAt: Date;
}

/** The control plane's HTTP API; `openapi.ts` describes every route and a test holds the two together. */
export function createApi(parts: ApiParts, logger: Logger): Hono {
  const app = new Hono();
  app.onError((error) => errorAnswer(error, logger));
  app.notFound((c) => errorAnswer(new MillraceError("NOT_FOUND", `there is no ${c.req.method} ${c.req.path}`), logger));
  app.get("/healthz", (c) => c.json({ ok: true }));
  app.get("/readyz", async (c) => {
    await parts.ready();
    return c.json({ ok: true });
  });
  app.get("/openapi.json", (c) => c.json(openapi));
  functionRoutes(app, parts);
  app.get("/v1/gateways", async (c) => c.json(await parts.fleet.list()));
  app.get("/v1/events", async (c) => c.json(await parts.events.page(eventsQuery(c.req.query()))));
  app.get("/v1/stats", async (c) => c.json(await stats(parts)));
  return app;
}

function functionRoutes(app: Hono, { catalog, fleet, deployedChanged }: ApiParts): void {
  const limit = bodyLimit({
    maxSize: BUNDLE_BYTES_MAX,
    onError: () => {
      throw new MillraceError("BUNDLE_TOO_LARGE", `the body is larger than ${BUNDLE_BYTES_MAX} bytes`);
    },
  });
  app.put("/v1/functions/:name", limit, async (c) => {
    const name = functionName(c.req.param("name"));
    const published = await catalog.publish(name, new Uint8Array(await c.req.arrayBuffer()), c.req.header(DIGEST_HEADER)?.toLowerCase());
    if (!published.unchanged) await deployedChanged();
    return c.json(published);
  });
  app.get("/v1/functions", async (c) => c.json(await functions(catalog, fleet)));
  app.get("/v1/functions/:name/versions", async (c) => {
    const name = functionName(c.req.param("name"));
    const versions = await catalog.versions(name);
    if (versions.length === 0) throw new MillraceError("FUNCTION_UNKNOWN", `there is no function "${name}"`);
    return c.json(versions);
  });
  app.get("/v1/functions/:name/versions/:version/bundle", async (c) => {
    const name = functionName(c.req.param("name"));
    const version = /^\d{1,9}$/.test(c.req.param("version")) ? Number(c.req.param("version")) : 0;
    const bundle = await catalog.bundle(name, version);
    if (bundle === undefined) throw new MillraceError("NOT_FOUND", `there is no version ${version} of "${name}"`);
    return c.body(new Uint8Array(bundle.bytes), 200, { "content-type": "application/octet-stream", [DIGEST_HEADER]: bundle.digest });
  });
  app.delete("/v1/functions/:name", async (c) => {
    const name = functionName(c.req.param("name"));
    if (!(await catalog.remove(name))) {
      const names = (await catalog.deployed()).map((deployed) => deployed.name);
      throw new MillraceError("FUNCTION_UNKNOWN", `no function "${name}" is deployed${suggestion(name, names)}`);
    }
    await deployedChanged();
    return c.json({ name, removed: true });
  });
}

function functionName(name: string): string {
  if (FUNCTION_NAME.test(name)) return name;
  throw new MillraceError(
    "REQUEST_INVALID",
    `"${name.slice(0, 80)}" is not a function name: letters, digits, "-", "_" and ".", at most 64`,
  );
}

async function functions(catalog: Catalog, fleet: Fleet): Promise<FunctionInfo[]> {
  const [deployed, gateways] = await Promise.all([catalog.deployed(), fleet.list()]);
  const reports = gateways.flatMap((gateway) => gateway.functions);
  return deployed.map(({ name, latest, digest, manifest, createdAt }) => {
    const count = (state: "active" | "failed" | "quarantined"): number =>
      reports.filter((report) => report.name === name && report.digest === digest && report.state === state).length;
    const counts = { active: count("active"), failed: count("failed"), quarantined: count("quarantined") };
    return { name, latest, digest, triggers: manifest.triggers, createdAt: createdAt.toISOString(), gateways: counts };
  });
}

async function stats({ catalog, fleet, events, ingest, startedAt }: ApiParts): Promise<ControlStats> {
  const [stored, deployed, gateways] = await Promise.all([events.count(), catalog.deployed(), fleet.list()]);
  return {
    startedAt: startedAt.toISOString(),
    events: stored,
    functions: deployed.length,
    gateways: { known: gateways.length, connected: fleet.connected.size },
    ingest: ingest.counters,
  };
}

const eventsQuerySchema = z.strictObject({
  after: z.coerce.number().int().min(0).optional(),
  limit: z.coerce.number().int().min(1).max(EVENTS_LIMIT.max).default(EVENTS_LIMIT.default),
  order: z.enum(["asc", "desc"]).default("asc"),
  function: z.string().optional(),
  gateway: z.string().optional(),
  type: z.string().optional(),
});

function eventsQuery(query: Record<string, string>): z.infer<typeof eventsQuerySchema> {
  for (const key of Object.keys(query)) {
    const known = Object.keys(eventsQuerySchema.shape);
    if (!known.includes(key)) throw new MillraceError("REQUEST_INVALID", `unknown query parameter "${key}"${suggestion(key, known)}`);
  }
  const parsed = eventsQuerySchema.safeParse(query);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new MillraceError("REQUEST_INVALID", `query parameter "${issue?.path.join(".")}": ${issue?.message}`, { cause: parsed.error });
}
