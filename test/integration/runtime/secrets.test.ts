import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { encodeBundle } from "../../../src/core/bundle.ts";
import type { GatewayInfo } from "../../../src/core/control-api.ts";
import { secretsPlace, updateSecrets } from "../../../src/runtime/secrets/secret-file.ts";
import { eventually } from "../../support/eventually.ts";
import { type FunctionPlan, functionOf } from "../../support/functions.ts";
import { hostsOf } from "../../support/processes.ts";
import { Site } from "../../support/site.ts";
import { WebServer } from "../../support/web-server.ts";

const VALUE = 'k3y/with+"odd"=chars-and-more';

async function siteWith(...plans: readonly FunctionPlan[]): Promise<{ site: Site; set: (name: string, value: string) => Promise<void> }> {
  const site = await Site.open(...plans.map((plan) => functionOf(plan)));
  onTestFinished(() => site[Symbol.asyncDispose]());
  const place = secretsPlace(join(site.folder, "gateway"), "");
  return { site, set: (name, value) => updateSecrets(place, (all) => all.set(name, { value, setAt: Date.now() })) };
}

async function filesOf(folder: string): Promise<Buffer[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return Promise.all(files.map((file) => readFile(file).catch(() => Buffer.alloc(0)))); // Databases delete files as they go.
}

async function answerOf(url: string): Promise<string> {
  return (await fetch(url)).text();
}

it("a secret is nowhere on the disk, in logs, dead letters, stats and host processes, however a function tells it", async () => {
  const handler = `const key = await ctx.secret("API_KEY");
    ctx.log.info("the key is " + key, { key, deep: [key] }); console.error(key, btoa64(key)); ctx.log.warn(encodeURIComponent(key));
    ctx.log.info("x".repeat(8170) + key);
    const error = new Error("failed with " + key); error.name = "Bad" + key; throw error;`;
  // Without a bundler there is no btoa.
  const prelude = `const btoa64 = (text) => { const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"; let bits = "";
    for (const char of text) bits += char.charCodeAt(0).toString(2).padStart(8, "0"); let out = "";
    for (let i = 0; i < bits.length; i += 6) out += all[parseInt(bits.slice(i, i + 6).padEnd(6, "0"), 2)]; return out; };`;
  const { site, set } = await siteWith({ handler, prelude, secrets: ["API_KEY"], retry: { attempts: 2 } });
  await set("API_KEY", VALUE);
  await site.send("in/a", "{}");
  await eventually(() => expect(site.stats("f").deadLettered).toBe(1));
  const forms = [
    VALUE,
    JSON.stringify(VALUE).slice(1, -1),
    encodeURIComponent(VALUE),
    Buffer.from(VALUE).toString("base64").replace(/=+$/, ""),
    VALUE.slice(0, 12),
  ];
  const shown = await Promise.all(
    ["/v1/logs?limit=1000", "/v1/dead-letters", "/v1/stats", "/metrics"].map((path) => answerOf(site.http + path)),
  );
  expect(shown[0]).toContain("[secret API_KEY]");
  expect(shown[1]).toContain("failed with [secret API_KEY]");
  const environments = await Promise.all(hostsOf(process.pid).map((pid) => readFile(`/proc/${pid}/environ`)));
  expect(environments.length).toBeGreaterThan(0);
  expect(environments.map(({ length }) => length)).toEqual(environments.map(() => 0));
  await site.gateway.close(); // What is still in memory gets on the disk.
  const places = [...shown.map((text) => Buffer.from(text)), ...(await filesOf(site.folder))];
  expect(places.length).toBeGreaterThan(10);
  for (const form of forms) expect(places.filter((bytes) => bytes.includes(form))).toHaveLength(0);
});

it("a secret goes to the functions that name it and to nobody else, and can be sent along with a fetch", async () => {
  const seen: (string | undefined)[] = [];
  const server = await WebServer.start((request, response) => {
    seen.push(request.headers.authorization);
    response.end("ok");
  });
  onTestFinished(() => server[Symbol.asyncDispose]());
  const url = `http://127.0.0.1:${server.port}`;
  const { site, set } = await siteWith(
    {
      name: "named",
      triggers: ["named"],
      secrets: ["API_KEY"],
      http: [url],
      handler: `await fetch("${url}", { headers: { authorization: "Bearer " + (await ctx.secret("API_KEY")) } });`,
    },
    { name: "other", triggers: ["other"], secrets: ["ANOTHER"], retry: { attempts: 1 }, handler: "await ctx.secret('API_KEY');" },
  );
  await set("API_KEY", "first-value");
  await site.send("named", "{}");
  await site.handled("named", 1);
  await set("API_KEY", "second-value");
  await site.send("named", "{}");
  await site.handled("named", 2);
  expect(seen).toEqual(["Bearer first-value", "Bearer second-value"]);
  await site.send("other", "{}");
  await eventually(() => expect(site.stats("other").deadLettered).toBe(1));
  expect(await answerOf(`${site.http}/v1/dead-letters?function=other`)).toContain("PERMISSION_DENIED");
});

it("a secret that is not set is told when the function is deployed, and its messages wait for it as long as they are retried", async () => {
  const handler = "ctx.emit('x', (await ctx.secret('API_KEY')).length);";
  const { site, set } = await siteWith({ handler, secrets: ["API_KEY"], retry: { attempts: 100, minMs: 5, maxMs: 20 } });
  const remedy = 'function "f" needs the secret "API_KEY", which is not set on this gateway; set it with: millrace secrets set API_KEY';
  expect(site.stats("f").secretProblems).toEqual([`SECRET_MISSING: ${remedy}`]);
  expect(await answerOf(`${site.http}/v1/logs?level=warn`)).toContain("millrace secrets set API_KEY");
  await eventually(async () => {
    const [gateway] = (await (await fetch(`${site.control}/v1/gateways`)).json()) as readonly Pick<GatewayInfo, "functions">[];
    expect(gateway?.functions).toMatchObject([{ name: "f", state: "active", problems: [{ code: "SECRET_MISSING", message: remedy }] }]);
  });
  await site.send("in/a", "{}");
  await eventually(() => expect(site.stats("f").usage.errors["SECRET_MISSING"]).toBeGreaterThan(0));
  await set("API_KEY", "here it is");
  await site.handled("f", 1);
  expect(site.stats("f")).toMatchObject({ deadLettered: 0, emitted: 1 });
  expect(site.stats("f").secretProblems).toBeUndefined();
});

it("a secret is there for init, of which neither the logs nor a failure tell it", async () => {
  const { site, set } = await siteWith();
  await set("API_KEY", VALUE);
  const init = "globalThis.key = await ctx.secret('API_KEY'); ctx.log.info('got ' + key);";
  const about = { secrets: ["API_KEY"], handler: "ctx.emit('x', key.length);" };
  await site.publish(functionOf({ ...about, init }));
  await site.send("in/a", "{}");
  await site.handled("f", 1);
  expect(site.stats("f")).toMatchObject({ emitted: 1 });
  const failing = functionOf({ ...about, version: 2, init: `${init} throw new Error('no ' + key);` });
  await fetch(`${site.control}/v1/functions/f`, { method: "PUT", body: new Uint8Array(encodeBundle(failing.bundle)) });
  await eventually(async () => expect(await answerOf(`${site.control}/v1/gateways`)).toContain("no [secret API_KEY]"));
  const shown = await Promise.all(
    [`${site.http}/v1/logs?limit=1000`, `${site.http}/v1/stats`, `${site.control}/v1/gateways`].map(answerOf),
  );
  expect(shown[0]).toContain("got [secret API_KEY]");
  expect(site.stats("f")).toMatchObject({ version: 1, error: expect.stringContaining("init failed: Error: no [secret API_KEY]") });
  for (const text of shown) expect(text).not.toContain(JSON.stringify(VALUE).slice(1, -1));
});

it("a secret is there for an invocation of what is deployed, which does not show it, and not for a bundle that somebody hands in", async () => {
  const handler = "const key = await ctx.secret('API_KEY'); console.log(key); ctx.log.info('x', { key }); throw new Error(key);";
  const plan = { handler, secrets: ["API_KEY"] };
  const { site, set } = await siteWith(plan);
  await set("API_KEY", VALUE);
  const headers = { "content-type": "application/json" };
  const invoked = await fetch(`${site.http}/v1/functions/f/invoke`, {
    method: "POST",
    headers,
    body: JSON.stringify({ topic: "in/a", payload: "{}" }),
  });
  const text = await invoked.text();
  expect(text).toContain("[secret API_KEY]");
  expect(text).not.toContain(JSON.stringify(VALUE).slice(1, -1));
});
