import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { setUser } from "../../support/access.ts";
import { connectClient } from "../../support/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { Site } from "../../support/site.ts";
import { cli } from "./support.ts";

let site: Site;

beforeAll(async () => {
  site = await Site.open();
});
afterAll(() => site[Symbol.asyncDispose]());

describe("millrace clients", () => {
  it("lists who is connected, with what waits for each", async () => {
    const at = ["--gateway", site.http];
    const { mqtt } = site.gateway.addresses;
    await using slow = await connectClient(mqtt, { clientId: "a slow one", clean: false, protocolVersion: 4 });
    await slow.mqtt.subscribeAsync(["x/#", "y"], { qos: 1 });
    slow.mqtt.stream.pause();
    await site.send("x/1", "x".repeat(1_000));
    const listed = await cli("clients", "--json", ...at);
    expect(listed.code).toBe(0);
    const clients = listed.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(clients).toEqual([
      expect.objectContaining({
        id: "a slow one",
        address: "127.0.0.1",
        listener: "default",
        proof: "none",
        version: 4,
        subscriptions: ["x/#", "y"],
        queued: 1,
      }),
      expect.objectContaining({ id: "sensor", version: 5, subscriptions: [], queued: 0 }),
    ]);
    expect(clients[0]?.["bytesOut"]).toBeGreaterThan(1_000);
    expect(clients[1]?.["bytesIn"]).toBeGreaterThan(1_000);
    expect(Date.now() - Number(clients[0]?.["since"])).toBeLessThan(60_000);
    const shown = await cli("clients", "--limit", "1", ...at);
    expect(shown.stdout).toMatch(/^CLIENT +USER +ADDRESS .*\na slow one +- +127\.0\.0\.1 +default .* x\/# y\n$/);
    expect((await cli("clients", "--user", "nobody", ...at)).stdout).toBe("nobody is connected\n");
  });

  it("disconnects one", async () => {
    const at = ["--gateway", site.http];
    await using client = await connectClient(site.gateway.addresses.mqtt, { clientId: "lathe/7 ü", protocolVersion: 5 });
    const code = new Promise((resolve) => client.mqtt.once("disconnect", ({ reasonCode }) => resolve(reasonCode)));
    expect(await cli("clients", "disconnect", "lathe/7 ü", ...at)).toMatchObject({ code: 0, stdout: "lathe/7 ü is disconnected\n" });
    expect(await code).toBe(0x98);
    await eventually(async () => expect((await cli("clients", "--json", ...at)).stdout).not.toContain("lathe"));
    expect(await cli("clients", "disconnect", "lathe/7 ü", ...at)).toMatchObject({ code: 1 });
    expect(await cli("clients", "disconnect", "__proto__", ...at)).toMatchObject({ code: 1 });
    expect(await cli("clients", "disconnect", ...at)).toMatchObject({ code: 2 });
  });

  it("ends a session, of a client that is away and of one that is connected", async () => {
    const at = ["--gateway", site.http];
    const { mqtt } = site.gateway.addresses;
    const kept = { clientId: "press", clean: false, protocolVersion: 4 } as const;
    {
      await using away = await connectClient(mqtt, kept);
      await away.mqtt.subscribeAsync("press/#", { qos: 1 });
    }
    await site.send("press/1", "before");
    expect(await cli("clients", "forget", "press", ...at)).toMatchObject({ code: 0, stdout: "the session of press has ended\n" });
    expect(await cli("clients", "forget", "press", ...at)).toMatchObject({ code: 1 });
    await using back = await connectClient(mqtt, kept);
    expect(await cli("clients", "forget", "press", "--json", ...at)).toMatchObject({ code: 0, stdout: '{"forgotten":"press"}\n' });
    await eventually(() => expect(back.mqtt.connected).toBe(false));
    expect(back.heard).toEqual([]);
    expect(await cli("clients", "forget", "__proto__", ...at)).toMatchObject({ code: 1 });
  });

  it("lists sessions whose clients are away, with whose they are, until when and what waits, at most as many as asked for", async () => {
    const at = ["--gateway", site.http];
    await setUser(join(site.folder, "gateway"), "anna", "anna-password");
    const before = Date.now();
    const leave = async (clientId: string, more: object): Promise<void> => {
      await using client = await connectClient(site.gateway.addresses.mqtt, { clientId, clean: false, ...more });
      await client.mqtt.subscribeAsync("away/#", { qos: 1 });
    };
    await cli("clients", "forget", "a slow one", ...at); // Of another test.
    expect((await cli("clients", "--away", ...at)).stdout).toBe("nobody is away\n");
    await leave("away-1", { protocolVersion: 5, properties: { sessionExpiryInterval: 3_600 } });
    await leave("away-3", { protocolVersion: 4, username: "anna", password: "anna-password" });
    await leave("away-2", { protocolVersion: 5, properties: { sessionExpiryInterval: 0xff_ff_ff_ff } });
    for (const text of ["x", "y"]) await site.send("away/1", text.repeat(1_000));
    await eventually(() => expect(site.gateway.stats().broker.stored).toMatchObject({ sessionsAway: 3, queuedMessages: 6 }));
    const listed = await cli("clients", "--away", "--json", ...at);
    const sessions = listed.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(sessions.map(({ id, user, queued }) => [id, user, queued])).toEqual([
      ["away-1", undefined, 2],
      ["away-3", "anna", 2],
      ["away-2", undefined, 2],
    ]);
    for (const { since, endsAt, queuedBytes } of sessions) {
      expect(since).toBeGreaterThanOrEqual(before);
      expect(since).toBeLessThanOrEqual(Date.now());
      expect(queuedBytes).toBeGreaterThan(2_000);
      expect(queuedBytes).toBeLessThan(4_000);
      expect([3_600_000, 90 * 86_400_000]).toContain(Number(endsAt) - Number(since));
    }
    expect((await cli("clients", "--away", "--limit", "2", "--json", ...at)).stdout.trimEnd().split("\n")).toHaveLength(2);
    const shown = await cli("clients", "--away", "--user", "anna", ...at);
    expect(shown.stdout).toMatch(/^CLIENT +USER +FOR +ENDS +QUEUED +BYTES\naway-3 +anna +\S+ +in \S.* +2 +2\.\d+ ?[kK]i?B\n$/);
    expect(await cli("clients", "forget", "away-3", "--away", ...at)).toMatchObject({ code: 2 });

    await cli("clients", "forget", "away-3", ...at);
    expect((await cli("clients", "--away", "--user", "anna", ...at)).stdout).toBe("nobody is away\n");
    await eventually(async () => {
      const audit = await readFile(join(site.folder, "gateway", "audit.log"), "utf8");
      const lines = audit.trimEnd().split("\n");
      const commands = lines.map((line) => JSON.parse(line) as { event: string }).filter(({ event }) => event === "command");
      expect(commands.at(-1)).toEqual({
        time: expect.any(String),
        event: "command",
        client: "away-3",
        user: "anna",
        reason: "clients forget",
      });
    });
  });
});
