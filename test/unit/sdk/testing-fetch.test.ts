import { defineFunction } from "millrace";
import { isPermanent, type TestFetch, testFunction } from "millrace/testing";
import { describe, expect, it } from "vitest";

const MANIFEST = `
name: weather
api: 1
triggers:
  - mqtt: sites/+site
permissions: {http: [api.example.com, "http://*.local.example.com:8080"]}
`;

/** A function that fetches what it is sent, in both ways. */
const weather = defineFunction<{ url: string }>({
  async handler(event, ctx) {
    const first = await ctx.fetch(event.data.url, { method: "POST", headers: { a: "b" }, body: "x" });
    const second = await fetch(event.data.url);
    ctx.emit("seen", [first.status, first.headers.get("c"), await first.text(), second.ok]);
  },
});

const answer: TestFetch = (url, { method = "GET", body = "none" }) =>
  new Response(`${method} ${url} ${typeof body}`, { status: 201, headers: { c: "d" } });

describe("the test kit", () => {
  it("answers what a function fetches with what the test gives, also through the global", async () => {
    const harness = testFunction(weather, { manifest: MANIFEST, fetch: answer });
    const { events } = await harness.send({ topic: "sites/a", payload: { url: "https://api.example.com/x" } });
    expect(events).toMatchObject([{ data: [201, "d", "POST https://api.example.com/x string", true] }]);
  });

  it("refuses what the manifest does not name, as a gateway does", async () => {
    const harness = testFunction(weather, { manifest: MANIFEST, fetch: answer });
    const refused = harness.send({ topic: "sites/a", payload: { url: "https://example.com/" } });
    await expect(refused).rejects.toMatchObject({
      code: "FETCH_FORBIDDEN",
      message: expect.stringContaining("https://example.com") as string,
    });
    expect(await refused.catch(isPermanent)).toBe(true);
  });

  it("lets nothing out of a test that gives no fetch, not even through the global", async () => {
    const sly = defineFunction({
      async handler() {
        await fetch("https://api.example.com/");
      },
    });
    for (const manifest of [MANIFEST, undefined]) {
      const harness = testFunction(sly, manifest === undefined ? {} : { manifest });
      await expect(harness.send({ topic: "sites/a" })).rejects.toMatchObject({
        code: "FETCH_FORBIDDEN",
        message: expect.stringContaining("nothing leaves a test") as string,
      });
    }
    const own = globalThis.fetch("data:text/plain,outside");
    expect(await (await own).text()).toBe("outside");
  });
});

describe("secrets in the test kit", () => {
  const teller = defineFunction({
    async handler(event, ctx) {
      ctx.emit("secret", await ctx.secret(event.text));
    },
  });
  const manifest = MANIFEST.replace("permissions: {", "permissions: {secrets: [API_KEY, UNSET], ");

  it("are those that the test gives and the manifest names", async () => {
    const harness = testFunction(teller, { manifest, secrets: { API_KEY: "for tests", OTHER: "not named" } });
    expect((await harness.send({ topic: "sites/a", payload: "API_KEY" })).events).toMatchObject([{ data: "for tests" }]);
    const unset = harness.send({ topic: "sites/a", payload: "UNSET" });
    await expect(unset).rejects.toMatchObject({ code: "SECRET_MISSING" });
    expect(await unset.catch(isPermanent)).toBe(false);
    const other = harness.send({ topic: "sites/a", payload: "OTHER" });
    await expect(other).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
    const found: string[] = [];
    const prepared = defineFunction({ init: async (ctx) => void found.push(await ctx.secret("API_KEY")), handler: () => undefined });
    await testFunction(prepared, { secrets: { API_KEY: "k" } }).send({ topic: "in/a" });
    expect(found).toEqual(["k"]);
    await expect(testFunction(prepared).send({ topic: "in/a" })).rejects.toMatchObject({ code: "PERMISSION_DENIED" });
    expect(await other.catch(isPermanent)).toBe(true);
  });

  it("need no manifest where there is none", async () => {
    const harness = testFunction(teller, { secrets: { API_KEY: "for tests" } });
    expect((await harness.send({ topic: "a", payload: "API_KEY" })).events).toMatchObject([{ data: "for tests" }]);
  });
});
