import { afterAll, beforeAll, describe, expect, it } from "vitest";
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
});
