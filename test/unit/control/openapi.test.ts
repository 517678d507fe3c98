import { describe, expect, it } from "vitest";
import { createApi } from "../../../src/control/api.ts";
import { Catalog } from "../../../src/control/catalog.ts";
import { EventLog } from "../../../src/control/event-log.ts";
import { Fleet } from "../../../src/control/fleet.ts";
import { openapi } from "../../../src/control/openapi.ts";
import type { Store } from "../../../src/control/store.ts";
import { silentLogger } from "../../../src/core/log.ts";

/** Routes are registered without touching the store. */
const noStore: Store = {
  query: () => Promise.reject(new Error("no store")),
  execute: () => Promise.reject(new Error("no store")),
  script: () => Promise.reject(new Error("no store")),
  copy: () => Promise.reject(new Error("no store")),
  transaction: () => Promise.reject(new Error("no store")),
  broken: new Promise(() => undefined),
  close: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
const counters = { batches: 0, stored: 0, duplicates: 0, rejected: 0, malformed: 0, refused: 0, failed: 0 };

const ready = (): Promise<void> => Promise.reject(new Error("no store"));

function api(): ReturnType<typeof createApi> {
  const parts = { catalog: new Catalog(noStore), fleet: new Fleet(noStore), events: new EventLog(noStore), ingest: { counters } };
  return createApi({ ...parts, ready, deployedChanged: () => Promise.resolve(), startedAt: new Date() }, silentLogger);
}

describe("openapi.json", () => {
  it("lists exactly the routes there are", () => {
    const described = Object.entries(openapi.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const routes = api().routes.map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    expect([...new Set(described)].toSorted()).toEqual([...new Set(routes)].toSorted());
  });

  it("is served, and every schema it refers to is there", async () => {
    const text = await (await api().request("/openapi.json")).text();
    const names = [...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map((match) => match[1]);
    expect(names).toContain("events");
    for (const name of names) expect(Object.keys(openapi.components.schemas)).toContain(name);
  });

  it("answers a defect with the one shape of errors and a 500, and an unknown path with 404", async () => {
    const defect = await api().request("/v1/stats");
    expect(defect.status).toBe(500);
    expect(await defect.json()).toEqual({ error: { code: "INTERNAL_ERROR", message: expect.any(String), hint: expect.any(String) } });
    const missing = await api().request("/v2/stats");
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ error: { code: "NOT_FOUND" } });
  });
});
