import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { FRAME, u32 } from "../../../src/runtime/host/frames.ts";
import { HostProcess } from "../../../src/runtime/host-process.ts";
import { Debugger } from "../../support/debugger.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { breakInside, doubler, held, INDEX, Inspectable, Inspecting, sourceMapOf } from "../../support/inspecting.ts";
import { Site } from "../../support/site.ts";
import { TempFolder } from "../../support/temp-folder.ts";
import { cli, startCli } from "../cli-tools/support.ts";

const neighbour = functionOf({ name: "neighbour", triggers: ["other/+k"], key: "k", handler: "ctx.emit('seen', event.data);" });

let folder: TempFolder;
let site: Inspectable;
beforeEach(async () => {
  folder = await TempFolder.make();
  site = await Inspectable.open(await doubler(folder.path), neighbour);
});
afterEach(async () => {
  await site[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

const doublerStats = (): ReturnType<Inspectable["stats"]> => site.stats("doubler");

/** A debugger that holds the function with a message. */
async function holding(inspecting: Inspecting): Promise<Debugger> {
  const client = await Debugger.connect(await inspecting.url());
  await breakInside(client);
  await site.send("in/a", '{"v": 21}');
  await held(client);
  return client;
}

/** Back among others: a function that is idle needs no host of its own. */
async function isBack(): Promise<void> {
  await eventually(() => expect(site.hosts.hosts).toBeLessThanOrEqual(2));
  await site.send("in/b", '{"v": 5}');
}

/** The status of the answer to a request with these headers. */
function statusOf(url: string, headers: Record<string, string>, method = "GET"): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { headers, method }, (response) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    asking.on("error", reject).end(method === "POST" ? '{"forMs": 60000, "port": 0}' : undefined);
  });
}

describe("a debugger at a function that runs", () => {
  it("holds it at a line of the author's file, sees what it sees, and lets it go on", async () => {
    await using inspecting = new Inspecting(site);
    await using client = await holding(inspecting);
    const [top] = (await held(client)).callFrames;
    expect(top?.functionName).toBe("handler");
    const seen = await client.ask("Debugger.evaluateOnCallFrame", { callFrameId: top?.callFrameId, expression: "doubled" });
    expect(seen).toMatchObject({ result: { type: "number", value: 42 } });

    for (let n = 0; n < 50; n++) await site.send("other/x", String(n));
    await site.handled("neighbour", 50);
    // Far beyond what the function may take by itself, a second and one more.
    await eventually(() => expect(doublerStats().oldestAgeMs).toBeGreaterThan(3_000));
    await site.send("in/a", '{"v": 1}');
    expect(doublerStats()).toMatchObject({ handled: 0, failed: 0 });
    expect(site.hosts.hostRestarts).toBe(0);

    await client.ask("Debugger.setBreakpointsActive", { active: false });
    await client.ask("Debugger.resume");
    await site.handled("doubler", 2);
    expect(doublerStats()).toMatchObject({ handled: 2, failed: 0, retried: 0, emitted: 2 });
    // It was somebody's looking that took the time.
    expect(doublerStats().usage.duration.sumMs).toBe(0);
  });

  it("takes a snapshot of the heap and a profile", async () => {
    await using inspecting = new Inspecting(site);
    await using client = await Debugger.connect(await inspecting.url());
    await client.ask("HeapProfiler.takeHeapSnapshot");
    const chunks = client.told.filter(({ method }) => method === "HeapProfiler.addHeapSnapshotChunk");
    const snapshot = JSON.parse(chunks.map(({ params }) => String(params?.["chunk"])).join("")) as { nodes: unknown[] };
    expect(snapshot.nodes.length).toBeGreaterThan(1_000);
    await client.ask("Profiler.enable");
    await client.ask("Profiler.start");
    await site.send("in/a", '{"v": 1}');
    await site.handled("doubler", 1);
    const { profile } = z.object({ profile: z.object({ nodes: z.array(z.unknown()) }) }).parse(await client.ask("Profiler.stop"));
    expect(profile.nodes.length).toBeGreaterThan(0);
  });

  it("that leaves while it holds the function lets it go on, and another one can come", async () => {
    await using inspecting = new Inspecting(site);
    const first = await holding(inspecting);
    await first[Symbol.asyncDispose]();
    await site.handled("doubler", 1);

    const second = await Debugger.connect(await inspecting.url());
    await second.ask("Debugger.enable");
    await second.ask("Runtime.enable");
    await site.send("in/a", '{"v": 1}');
    await site.handled("doubler", 2);
    expect(second.last("Debugger.paused")).toBeUndefined();
    const { context } = z
      .object({ context: z.object({ id: z.int() }) })
      .parse(second.told.find(({ method }) => method === "Runtime.executionContextCreated")?.params);

    await using third = await Debugger.connect(await inspecting.url());
    expect(await second.closed).toMatchObject({ reason: "another debugger has taken its place" });
    third.raw("");
    third.raw("no JSON");
    expect(await third.ask("Runtime.evaluate", { expression: "6 * 7", contextId: context.id })).toMatchObject({ result: { value: 42 } });
    expect(doublerStats()).toMatchObject({ handled: 2, failed: 0 });
  });

  it("sees the author's files where it is given them", async () => {
    await using inspecting = new Inspecting(site, "--sources", folder.path);
    await using client = await Debugger.connect(await inspecting.url());
    await client.ask("Debugger.enable");
    const { map } = await sourceMapOf(client);
    expect(map.payload).toMatchObject({ sources: ["index.ts"], sourcesContent: [INDEX] });
    expect(inspecting.run.output.stderr).toBe("");
  });

  it("is told that files are not those of the version", async () => {
    await doubler(folder.path, { version: 2 });
    await using inspecting = new Inspecting(site, "--sources", folder.path);
    await inspecting.ready();
    expect(inspecting.run.output.stderr).toContain("is not what version 1 was built from");
  });
});

describe("each isolate of a function", () => {
  it("can be held by itself", async () => {
    await site.core.deploy(await doubler(folder.path, { version: 2, manifest: "concurrency: 2\n" }));
    await using inspecting = new Inspecting(site);
    const { targets } = await inspecting.ready();
    expect(targets.map(({ title }) => title)).toEqual(["doubler version 2, isolate 1 of 2", "doubler version 2, isolate 2 of 2"]);
    const clients = await Promise.all(targets.map(({ webSocketDebuggerUrl }) => Debugger.connect(webSocketDebuggerUrl)));
    await using one = clients[0];
    await using other = clients[1];
    if (one === undefined || other === undefined) throw new Error("there are two");
    await breakInside(one);
    for (let key = 0; key < 20; key++) await site.send(`in/${key}`, '{"v": 1}');
    await held(one);
    await eventually(() => expect(doublerStats().handled).toBeGreaterThan(3));
    await one.ask("Debugger.disable");
    await site.handled("doubler", 20);
  });
});

describe("an inspection", () => {
  it("ends with Ctrl-C, and what is held goes on", async () => {
    const inspecting = new Inspecting(site);
    const client = await holding(inspecting);
    inspecting.run.stop();
    expect(await inspecting.run.result).toMatchObject({ code: 0, stderr: "" });
    expect((await client.closed).reason).toContain("has gone");
    await site.handled("doubler", 1);
    await isBack();
    await site.handled("doubler", 2);
    expect(doublerStats()).toMatchObject({ handled: 2, failed: 0 });
  });

  it("ends by itself, and what does not come to an end is handled again under its limits", async () => {
    await using inspecting = new Inspecting(site, "--for", "2s");
    await inspecting.ready();
    await site.send("in/a", '{"v": -1}');
    expect(await inspecting.run.result).toMatchObject({ code: 0 });
    expect(inspecting.lines.at(-1)).toMatchObject({ event: "ended", why: "time" });
    await eventually(() => expect(doublerStats()).toMatchObject({ failed: 1, deadLettered: 1 }));
    expect(doublerStats().usage.errors).toEqual({ LIMIT_CPU: 1 });
    await isBack();
    await eventually(() => expect(doublerStats().emitted).toBe(1));
  });

  it("ends when another version takes over, which does not wait for the debugger", async () => {
    await using inspecting = new Inspecting(site);
    await using client = await holding(inspecting);
    await site.core.deploy(await doubler(folder.path, { version: 2 }));
    const { code, stderr } = await inspecting.run.result;
    expect([code, inspecting.lines.at(-1)]).toEqual([
      1,
      { event: "ended", why: "taken", message: expect.stringContaining("was replaced") as string },
    ]);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "INSPECTION_ENDED" } });
    await client.closed;
    await site.handled("doubler", 1);
    expect(doublerStats()).toMatchObject({ version: 2, failed: 0 });
  });

  it("says to a person where to attach and how it ends", async () => {
    await using whole = await Site.open(neighbour);
    const run = startCli("functions", "inspect", "neighbour", "--port", "0", "--gateway", whole.http);
    await eventually(() => expect(run.output.stdout).toContain("it goes back with Ctrl-C, after 60 min"));
    expect(run.output.stdout).toMatch(/in Chrome +devtools:\/\/devtools\/bundled\/js_app\.html\S+&ws=127\.0\.0\.1:\d+\/[\da-f-]{36}\n/);
    expect(run.output.stdout).toMatch(/chrome:\/\/inspect and add localhost:\d+ under Configure/);
    run.stop();
    expect(await run.result).toMatchObject({ code: 0, stderr: "" });
  });

  it("ends when the function is removed", async () => {
    await using inspecting = new Inspecting(site);
    await holding(inspecting);
    await site.core.runtime.remove("doubler");
    expect(await inspecting.run.result).toMatchObject({ code: 1 });
  });

  it("ends with the gateway", async () => {
    await using inspecting = new Inspecting(site);
    const client = await holding(inspecting);
    await site.server.close();
    expect((await inspecting.run.result).code).toBe(1);
    await client.closed;
  });

  it("is had by one at a time, of a function that there is, for a while that is bounded", async () => {
    await using inspecting = new Inspecting(site);
    await inspecting.ready();
    const begin = (...flags: readonly string[]): ReturnType<typeof cli> =>
      cli("functions", ...flags, "--port", "0", "--gateway", site.http);
    expect((await begin("inspect", "doubler")).stderr).toContain("error TOO_MANY_INSPECTIONS");
    expect((await begin("inspect", "nobody")).stderr).toContain("error FUNCTION_UNKNOWN");
    expect((await begin("inspect", "neighbour", "--for", "9h")).stderr).toContain("error REQUEST_INVALID: forMs");
    expect((await begin("inspect")).stderr).toContain("exactly one name");
    expect((await begin("look", "doubler")).stderr).toContain("only inspect NAME");
    const taken = (await inspecting.ready()).address.split(":")[1] ?? "";
    const { stderr } = await cli("functions", "inspect", "neighbour", "--port", taken, "--gateway", site.http);
    expect(stderr).toContain("error PORT_IN_USE");
    // What could not be begun is over.
    await using second = new Inspecting(site, "--port", "0");
    expect((await second.run.result).stderr).toContain("TOO_MANY_INSPECTIONS");
  });
});

describe("who is refused", () => {
  it.each([
    [{ host: "evil.example" }, 403],
    [{ host: "127.0.0.1.evil.example" }, 403],
    [{ origin: "https://evil.example" }, 403],
    [{ origin: "null" }, 403],
    [{ origin: "devtools://devtools" }, 200],
    [{ host: "localhost:9229" }, 200],
    [{}, 200],
  ] as const)("the list of targets with %j: %i", async (headers, expected) => {
    await using inspecting = new Inspecting(site);
    const { address, targets } = await inspecting.ready();
    expect(await statusOf(`http://${address}/json/list`, { ...headers })).toBe(expected);
    const url = targets[0]?.webSocketDebuggerUrl ?? "";
    const connected = await Debugger.connect(url, { headers }).then(
      (client) => client[Symbol.asyncDispose]().then(() => 200),
      (error: Error) => Number(/Unexpected server response: (\d+)/.exec(error.message)?.[1]),
    );
    expect(connected).toBe(expected);
    expect(await statusOf(`${site.http}/v1/functions/neighbour/inspect`, { "content-type": "application/json", ...headers }, "POST")).toBe(
      expected,
    );
  });

  it("whoever does not know the address", async () => {
    await using inspecting = new Inspecting(site);
    const { address } = await inspecting.ready();
    await expect(Debugger.connect(`ws://${address}/`)).rejects.toThrow("404");
    expect(await statusOf(`http://${address}/json/close/1`, {})).toBe(404);
    expect(await statusOf(`http://${address}/json/list`, {}, "POST")).toBe(405);
  });

  it("a debugger in any other host", async () => {
    const reason = Promise.withResolvers<string>();
    const host = await HostProcess.start({ frame: () => undefined, died: reason.resolve });
    host.send(FRAME.ATTACH, 1, u32(1));
    expect(await reason.promise).toContain("in a host without an inspector");
  });
});
