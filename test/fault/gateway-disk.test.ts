import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import mqtt from "mqtt";
import { describe, expect, it, vi } from "vitest";
import { Program } from "../support/daemon.ts";
import { TempFolder } from "../support/temp-folder.ts";

const run = promisify(execFile);

/** Mounts a file system of `size`; answers with why not when this user may not. */
async function mountSmall(folder: string, size: string): Promise<string | undefined> {
  await mkdir(folder);
  return run("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder]).then(
    () => undefined,
    (error: unknown) => `this user cannot mount a small file system here: ${String(error).slice(0, 200)}`,
  );
}

describe("a gateway whose disk is full", () => {
  it("comes back by itself, at the same address, when there is space again", async ({ skip }) => {
    await using folder = await TempFolder.make();
    const disk = folder.join("disk");
    const problem = await mountSmall(disk, "24m");
    skip(problem !== undefined, problem);
    await using own = new AsyncDisposableStack();
    own.defer(async () => void (await run("umount", ["-l", disk])));
    const gateway = own.use(
      new Program(["gateway", "--data", `${disk}/data`, "--mqtt-port", "0", "--http-port", "0", "--control", "", "--json"]),
    );
    const { addresses } = JSON.parse(await gateway.line()) as { addresses: { mqtt: string } };
    const away = { clientId: "away", clean: false, reconnectPeriod: 0 };
    const before = await mqtt.connectAsync(addresses.mqtt, away);
    await before.subscribeAsync("t/#", { qos: 1 });
    await before.endAsync();
    const publisher = await mqtt.connectAsync(addresses.mqtt, { reconnectPeriod: 50 });
    own.defer(() => publisher.endAsync(true));
    await writeFile(`${disk}/ballast`, Buffer.alloc(64 * 1024 * 1024)).catch(() => undefined);
    const stop = new AbortController();
    own.defer(() => stop.abort());
    void publishUntil(publisher, stop.signal);
    await vi.waitFor(() => expect(gateway.err).toContain("the disk is full"), { timeout: 15_000, interval: 50 });
    await rm(`${disk}/ballast`);
    stop.abort();
    const after = await vi.waitFor(() => mqtt.connectAsync(addresses.mqtt, away), { timeout: 20_000, interval: 200 });
    own.defer(() => after.endAsync(true));
    const heard = Promise.withResolvers<string>();
    after.on("message", (topic, payload) => topic === "t/last" && heard.resolve(String(payload)));
    const late = await mqtt.connectAsync(addresses.mqtt);
    await late.publishAsync("t/last", "written", { qos: 1 });
    await late.endAsync();
    expect(await heard.promise).toBe("written");
    gateway.child.kill("SIGTERM");
    expect(await gateway.exit).toEqual({ code: 0, signal: null });
  }, 60_000);
});

async function publishUntil(publisher: mqtt.MqttClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // What is not acknowledged is not what is looked at here.
    await publisher.publishAsync("t/x", Buffer.alloc(4_096), { qos: 1 }).catch(() => undefined);
  }
}
