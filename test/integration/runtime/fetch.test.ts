import { brotliCompressSync, gzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { invokeOnce } from "../../../src/runtime/invoke.ts";
import { hostsOf } from "../../support/processes.ts";
import { Core, type CoreOptions } from "../../support/core.ts";
import { eventually } from "../../support/eventually.ts";
import { type FunctionPlan, functionOf } from "../../support/functions.ts";
import { WebServer } from "../../support/web-server.ts";

type Serve = Parameters<typeof WebServer.start>[0];

async function serverOf(serve: Serve, host?: string): Promise<WebServer> {
  const server = await WebServer.start(serve, host);
  onTestFinished(() => server[Symbol.asyncDispose]());
  return server;
}

async function coreOf(options: Omit<CoreOptions, "folder"> = {}): Promise<Core> {
  const core = await Core.temporary(options);
  onTestFinished(() => core[Symbol.asyncDispose]());
  return core;
}

/** A function that may fetch from a server of this machine, and does what `handler` says; `url` is its address. */
function fetching(server: WebServer, handler: string, more: Partial<FunctionPlan> = {}): ReturnType<typeof functionOf> {
  const origin = `http://127.0.0.1:${server.port}`;
  return functionOf({ http: [origin], handler: `const url = "${origin}"; ${handler}`, retry: { attempts: 1 }, ...more });
}

const TELL = "ctx.emit('x', [response.status, await response.text()]);";
const never: Serve = () => undefined;
const hello: Serve = (_, response) => void response.end("hello");

async function emittedBy(core: Core): Promise<unknown[]> {
  await core.send("in/a", {});
  await core.drained();
  return (await core.events()).map(({ data }) => data);
}

async function codeOf(core: Core): Promise<[code: string, error: string]> {
  await core.send("in/a", {});
  await core.drained();
  const [letter] = await core.deadLetters();
  return [letter?.code ?? "", letter?.error ?? ""];
}

describe("a function fetches", () => {
  it("in the trace of its message, each time as another child of its handling", async () => {
    const server = await serverOf(({ headers: { traceparent, tracestate } }, response) =>
      response.end(JSON.stringify([traceparent ?? null, tracestate ?? null])),
    );
    const core = await coreOf();
    const handler = `
      const told = [];
      for (const headers of [{}, {}, { traceparent: "own" }]) told.push(await (await fetch(url, { headers })).json());
      ctx.emit('x', [event.trace?.traceparent ?? null, ...told]);`;
    await core.deploy(fetching(server, handler));
    const [trace, tracestate] = ["4bf92f3577b34da6a3ce929d0e0e4736", "rojo=1"];
    const user = { traceparent: `00-${trace}-00f067aa0ba902b7-01`, tracestate };
    await core.send("in/a", {}, { properties: { user } });
    await core.send("in/a", {});
    await core.drained();
    const child = expect.stringMatching(new RegExp(`^00-${trace}-(?!0{16})[0-9a-f]{16}-01$`)) as string;
    const [first, second] = (await core.events()).map(({ data }) => data);
    expect(first).toEqual([child, [child, tracestate], [child, tracestate], ["own", null]]);
    const ids = JSON.stringify(first).match(/(?<=-)[0-9a-f]{16}(?=-)/g) ?? [];
    expect(new Set(ids).size).toBe(3);
    expect(second).toEqual([null, [null, null], [null, null], ["own", null]]);
  });

  it("through the gateway: its host has no network", async () => {
    const server = await serverOf((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () =>
        response.end(`${String(request.headers["x-one"])} ${String(request.headers["user-agent"])} ${Buffer.concat(chunks).toString()}`),
      );
    });
    const core = await coreOf();
    const handler = `const response = await ctx.fetch(url + "/a?b#c", { method: "POST", headers: { "x-one": "1" }, body: "grüß" }); ${TELL}`;
    await core.deploy(fetching(server, handler));
    expect(await emittedBy(core)).toEqual([[200, "1 millrace grüß"]]);
    expect(server.seen).toEqual(["POST /a?b"]);
    expect(core.stats("f").fetches).toMatchObject({ outcomes: { "2xx": 1 }, bytesOut: 6, bytesIn: 17 });
  });

  it.each([
    ["gzip", gzipSync],
    ["br", brotliCompressSync],
  ])("what is packed with %s, unpacked", async (coding, pack) => {
    const server = await serverOf((_, response) => {
      response.setHeader("content-encoding", coding);
      response.end(pack(Buffer.from("hello ".repeat(1_000))));
    });
    const core = await coreOf();
    await core.deploy(fetching(server, `const response = await fetch(url); ctx.emit("x", (await response.text()).length);`));
    expect(await emittedBy(core)).toEqual([6_000]);
  });

  it("over redirects, five at most, with the credentials for their own origin only", async () => {
    const seen: (string | undefined)[] = [];
    const other = await serverOf((request, response) => {
      seen.push(request.headers.authorization, request.headers["x-plain"] as string);
      response.end("there");
    });
    const server = await serverOf((request, response) => {
      const left = Number(request.url?.slice(1));
      if (left > 0) response.writeHead(302, { location: `/${left - 1}` });
      else response.writeHead(302, { location: `http://127.0.0.1:${other.port}/` });
      response.end("on");
    });
    const http = [`http://127.0.0.1:${server.port}`, `http://127.0.0.1:${other.port}`];
    const core = await coreOf();
    const handler = `const headers = { authorization: "Bearer s", "x-plain": "p" };
      const response = await fetch(url + "/" + event.data.hops, { headers });
      ctx.emit("x", [response.status, response.redirected, response.url, await response.text()]);`;
    await core.deploy(fetching(server, handler, { http }));
    await core.send("in/a", { hops: 4 });
    await core.send("in/b", { hops: 5 });
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([[200, true, `http://127.0.0.1:${other.port}/`, "there"]]);
    expect(seen).toEqual([undefined, "p"]);
    expect(await core.deadLetters()).toMatchObject([
      { code: "FETCH_FAILED", error: expect.stringContaining("more than 5 redirects") as string },
    ]);
  });

  it("a hundred times at once for a message, within the room that there is", async () => {
    const server = await serverOf((_, response) => void setTimeout(() => response.end("x"), 5));
    const core = await coreOf({ outside: { fetch: { functionRequestsMax: 7 } } });
    await core.deploy(
      fetching(
        server,
        `const all = await Promise.all(Array.from({ length: 100 }, (_, i) => fetch(url + "/" + i).then((r) => r.text()))); ctx.emit("x", all.length);`,
      ),
    );
    expect(await emittedBy(core)).toEqual([100]);
    expect(server.seen).toHaveLength(100);
    expect(server.openMax).toBeLessThanOrEqual(7);
    expect(core.stats("f").fetches?.outcomes).toEqual({ "2xx": 100 });
  });

  it("while others in its host go on, and computes nothing meanwhile", async () => {
    const held: (() => void)[] = [];
    const server = await serverOf((_, response) => void held.push(() => response.end("late")));
    const core = await coreOf();
    const waits = fetching(server, `const response = await fetch(url); ${TELL}`, {
      name: "waits",
      triggers: ["waits"],
      limits: { cpuMs: 50, wallMs: 60_000 },
    });
    await core.deploy(waits, functionOf({ name: "other", handler: "ctx.emit('other', 1);" }));
    await core.send("waits", {});
    await eventually(() => expect(held).toHaveLength(1));
    for (let i = 0; i < 50; i++) await core.send("in/a", {});
    await eventually(async () => expect(await core.events("other")).toHaveLength(50));
    held[0]?.();
    await core.drained();
    expect((await core.events("x")).map(({ data }) => data)).toEqual([[200, "late"]]);
    expect(core.stats("waits").usage.errors).toEqual({});
  });
});

describe("a function may not fetch", () => {
  it("from what its manifest does not name", async () => {
    const server = await serverOf(hello);
    const core = await coreOf();
    await core.deploy(fetching(server, "await fetch(url + '/x?secret=1');", { http: ["api.example.com"] }));
    const [code, error] = await codeOf(core);
    expect(code).toBe("FETCH_FORBIDDEN");
    expect(error).toContain(`function "f" may not fetch from http://127.0.0.1:${server.port}`);
    expect(error).toContain(`add "http://127.0.0.1:${server.port}" to permissions.http`);
    expect(server.seen).toEqual([]);
    expect(core.stats("f")).toMatchObject({ retried: 0, fetches: { outcomes: { forbidden: 1 } } });
  });

  it.each(["127.0.0.1", "10.9.8.7", "169.254.169.254", "::ffff:127.0.0.1", "fd00::1"])(
    "from a public name that leads to %s",
    async (address) => {
      const server = await serverOf(hello);
      const lookup = (): Promise<{ address: string; family: number }[]> =>
        Promise.resolve([{ address, family: address.includes(":") ? 6 : 4 }]);
      const core = await coreOf({ outside: { fetch: { lookup } } });
      const http = [`http://*.example.com:${server.port}`, `http://rebound.example.net:${server.port}`];
      await core.deploy(
        fetching(
          server,
          `for (const host of ["a.example.com", "rebound.example.net"])
            await fetch("http://" + host + ":${server.port}/").catch((e) => ctx.emit("x", [e.code, e.message]));`,
          { http },
        ),
      );
      const refused = (await emittedBy(core)) as [string, string][];
      expect(refused.map(([code]) => code)).toEqual(["FETCH_FORBIDDEN", "FETCH_FORBIDDEN"]);
      expect(refused[0]?.[1]).toMatch(/a\.example\.com: it has the address .*, which is not public/);
      expect(server.seen).toEqual([]);
    },
  );

  it("elsewhere than the address that was checked, though the name leads to another one a moment later", async () => {
    const server = await serverOf(hello);
    let asked = 0;
    const lookup = (): Promise<{ address: string; family: number }[]> =>
      Promise.resolve([{ address: ++asked === 1 ? "127.0.0.1" : "127.0.0.2", family: 4 }]);
    const core = await coreOf({ outside: { fetch: { lookup } } });
    const http = [`http://a.example.com:${server.port}`, "127.0.0.1"];
    await core.deploy(fetching(server, `const response = await fetch("http://a.example.com:${server.port}/"); ${TELL}`, { http }));
    expect(await emittedBy(core)).toEqual([[200, "hello"]]);
    expect(asked).toBe(1);
  });

  it("from where a redirect leads that is not named, or private", async () => {
    const inner = await serverOf(hello, "127.0.0.2");
    const server = await serverOf((request, response) => {
      const location = request.url === "/meta" ? "http://169.254.169.254/latest" : `http://127.0.0.2:${inner.port}/`;
      response.writeHead(307, { location }).end();
    });
    const core = await coreOf();
    await core.deploy(
      fetching(server, "for (const path of ['/meta', '/inner']) await fetch(url + path).catch((e) => ctx.emit('x', e.code));"),
    );
    expect(await emittedBy(core)).toEqual(["FETCH_FORBIDDEN", "FETCH_FORBIDDEN"]);
    expect(inner.seen).toEqual([]);
  });
});

describe("a server that", () => {
  it("sends without end is cut off", async () => {
    const server = await serverOf((_, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", more);
      more();
    });
    const core = await coreOf();
    await core.deploy(fetching(server, "await fetch(url);", { limits: { fetchBytes: 100_000 } }));
    const [code, error] = await codeOf(core);
    expect(code).toBe("LIMIT_FETCH");
    expect(error).toContain("limits.fetch");
    await eventually(() => expect(server.connections).toBe(0));
    expect(core.stats("f").fetches?.outcomes).toEqual({ limited: 1 });
  });

  it("packs a bomb is cut off", async () => {
    const server = await serverOf((_, response) => {
      response.setHeader("content-encoding", "gzip");
      response.end(gzipSync(Buffer.alloc(50 * 2 ** 20)));
    });
    const core = await coreOf();
    await core.deploy(fetching(server, "await fetch(url);"));
    expect((await codeOf(core))[0]).toBe("LIMIT_FETCH");
  });

  it("has huge headers is refused", async () => {
    const server = await serverOf((_, response) => void response.writeHead(200, { "x-large": "x".repeat(60_000) }).end());
    const core = await coreOf();
    await core.deploy(fetching(server, "await fetch(url);"));
    expect((await codeOf(core))[0]).toBe("LIMIT_FETCH");
  });

  it("breaks off, or is not there, makes the message come again", async () => {
    let tries = 0;
    const server = await serverOf((_, response) => {
      if (++tries < 3) {
        response.writeHead(200, { "content-length": "100" });
        response.write("only this");
        setImmediate(() => response.destroy());
      } else {
        response.end("at last");
      }
    });
    const core = await coreOf();
    await core.deploy(fetching(server, `const response = await fetch(url, { method: "POST" }); ${TELL}`, { retry: { attempts: 3 } }));
    expect(await emittedBy(core)).toEqual([[200, "at last"]]);
    expect(core.stats("f")).toMatchObject({ retried: 2, fetches: { outcomes: { failed: 2, "2xx": 1 } } });
    await server[Symbol.asyncDispose]();
    const [code, error] = await codeOf(core);
    expect(code).toBe("FETCH_FAILED");
    expect(error).toMatch(/function "f" could not fetch from http:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
  });

  it("never answers holds a message no longer than limits.wall, and its connection is closed", async () => {
    const server = await serverOf(() => undefined);
    const core = await coreOf();
    await core.deploy(fetching(server, "await fetch(url);", { limits: { wallMs: 100, cpuMs: 50 } }));
    expect((await codeOf(core))[0]).toBe("LIMIT_WALL");
    await eventually(() => expect([server.abandoned, server.connections]).toEqual([1, 0]));
    expect(core.stats("f").fetches?.outcomes).toEqual({ aborted: 1 });
  });

  it("closes a kept connection is asked again over a new one", async () => {
    const server = await serverOf((_, response) => void response.end(String(server.seen.length)));
    const core = await coreOf();
    await core.deploy(fetching(server, `const response = await fetch(url); ${TELL}`));
    expect(await emittedBy(core)).toEqual([[200, "1"]]);
    expect(server.connections).toBe(1);
    server.drop();
    await core.send("in/b", {});
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([
      [200, "1"],
      [200, "2"],
    ]);
  });
});

describe("a request is over", () => {
  it("when the handler has finished without waiting for it", async () => {
    const server = await serverOf(never);
    const core = await coreOf();
    await core.deploy(fetching(server, "fetch(url); const until = Date.now() + 20; while (Date.now() < until) await 0; ctx.emit('x', 1);"));
    expect(await emittedBy(core)).toEqual([1]);
    await eventually(() => expect(server.connections).toBe(0));
    expect(await core.deadLetters()).toEqual([]);
  });

  it("when its signal says so", async () => {
    const server = await serverOf(never);
    const core = await coreOf();
    const handler = `const listeners = []; const addEventListener = (_, f) => listeners.push(f);
      const signal = { aborted: false, reason: new Error("enough"), addEventListener, removeEventListener: () => {} };
      setTimeout(() => listeners.forEach((f) => f()), 30);
      await fetch(url, { signal }).catch((e) => ctx.emit("x", e.message)); await new Promise((r) => setTimeout(r, 300));`;
    await core.deploy(fetching(server, handler));
    await core.send("in/a", {});
    await eventually(() => expect(server.seen).toHaveLength(1));
    await eventually(() => expect([server.abandoned, server.connections]).toEqual([1, 0]));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual(["enough"]);
  });

  it("when the host dies, and is made again", async () => {
    let isSlow = true;
    const server = await serverOf((_, response) => {
      if (!isSlow) response.end("after");
    });
    const core = await coreOf();
    await core.deploy(
      fetching(server, `const response = await fetch(url); ${TELL}`, { retry: { attempts: 5 }, limits: { wallMs: 30_000 } }),
    );
    await core.send("in/a", {});
    await eventually(() => expect(server.open).toBe(1));
    isSlow = false;
    for (const pid of hostsOf(process.pid)) process.kill(pid, "SIGKILL");
    await eventually(() => expect(server.abandoned).toBe(1));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([[200, "after"]]);
  });

  it("when the gateway stops", async () => {
    const server = await serverOf(never);
    const core = await Core.temporary();
    await core.deploy(fetching(server, "await fetch(url);", { limits: { wallMs: 60_000 } }));
    await core.send("in/a", {});
    await eventually(() => expect(server.open).toBe(1));
    await core[Symbol.asyncDispose]();
    await eventually(() => expect(server.connections).toBe(0));
  });
});

describe("trying a function", () => {
  it("fetches nothing, unless that is asked for", async () => {
    const server = await serverOf(hello);
    const core = await coreOf();
    const { target, bundle } = fetching(server, `const response = await fetch(url); ${TELL}`);
    await core.runtime.deploy(target, bundle);
    const message = { topic: "in/a", payload: Buffer.from("{}"), qos: 1, retain: false, time: 1, source: "t", hops: 0 } as const;
    for (const invoke of [core.runtime.invoke.bind(core.runtime, "f"), invokeOnce.bind(undefined, bundle)]) {
      expect(await invoke(message)).toMatchObject({
        ok: false,
        error: { code: "FETCH_FORBIDDEN", message: expect.stringContaining("--fetch") as string },
      });
      expect(server.seen).toEqual([]);
      expect(await invoke(message, { fetch: true })).toMatchObject({ ok: true, events: [{ data: [200, "hello"] }] });
      expect(server.seen.splice(0)).toHaveLength(1);
    }
  });
});
