import type { Hono } from "hono";
import { z } from "zod";
import { HOUR_MS, HOURS_MS_MAX, SAMPLE_MS, SAMPLES_MS_MAX } from "../core/usage-history.ts";
import type { UsageSource } from "./parts.ts";
import { parse } from "./request.ts";

const HOURS_MAX = HOURS_MS_MAX / HOUR_MS;
/** The hour that has begun is one of those asked for. */
const hoursQuery = z.strictObject({ hours: z.coerce.number().pipe(z.int().min(1).max(HOURS_MAX)).default(24) });
const samplesQuery = z.strictObject({ ms: z.coerce.number().pipe(z.int().min(SAMPLE_MS).max(SAMPLES_MS_MAX)).default(HOUR_MS) });

/** What functions have used. */
export function usageRoutes(app: Hono, history: UsageSource): void {
  app.get("/v1/usage/hours", async (c) => {
    const { hours } = parse(hoursQuery, c.req.query());
    return c.json(await history.hours(Date.now() - (hours - 1) * HOUR_MS));
  });
  app.get("/v1/usage/samples", async (c) => {
    const { ms } = parse(samplesQuery, c.req.query());
    return c.json(await history.samples(Date.now() - ms));
  });
}
