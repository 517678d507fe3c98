import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import mqtt from "mqtt";
import { describe, expect, it } from "vitest";
import { MillraceError } from "../../src/core/errors.ts";
import { eventually } from "../support/eventually.ts";
import { startBroker, TestIntake } from "../support/broker.ts";
import { Program } from "../support/daemon.ts";
import { entryOf } from "../support/journal.ts";
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
    await eventually(() => expect(gateway.err).toContain("the disk is full"), { interval: 50 });
    await rm(`${disk}/ballast`);
    stop.abort();
    const after = await eventually(() => mqtt.connectAsync(addresses.mqtt, away), { interval: 200 });
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

describe("a broker whose disk is full", () => {
  it("never says that a message is in a session that could not store it", async ({ skip }) => {
    await using folder = await TempFolder.make();
    const disk = folder.join("disk");
    const problem = await mountSmall(disk, "4m");
    skip(problem !== undefined, problem);
    await using own = new AsyncDisposableStack();
    own.defer(async () => void (await run("umount", ["-l", disk])));
    const said: number[] = [];
    const acknowledged: number[] = [];
    {
      await using broker = await startBroker(new TestIntake(), disk);
      const publisher = await mqtt.connectAsync(broker.address, { reconnectPeriod: 0 });
      own.defer(() => publisher.endAsync(true));
      const away = await mqtt.connectAsync(broker.address, { clientId: "away", clean: false, reconnectPeriod: 0 });
      await away.subscribeAsync("t", { qos: 1 });
      await away.endAsync();
      const failed = broker.stopped.then(
        () => "closed",
        (error: unknown) => (error instanceof MillraceError ? error.code : String(error)),
      );
      const deliver = (n: number): void => broker.deliver([entryOf("t", `${n} ${"x".repeat(4_000)}`).record], () => said.push(n));
      let sent = 0;
      const sending = setInterval(() => deliver(sent++), 0);
      own.defer(() => clearInterval(sending));
      expect(await failed).toBe("DISK_FULL");
      clearInterval(sending);
      // There is space again before the broker is closed; what is written behind a write that was cut off is not found by the next start.
      await run("mount", ["-o", "remount,size=64m", disk]);
      for (let more = 0; more < 50; more++) {
        deliver(sent++);
        const n = sent++;
        // Its acknowledgement would say that the message is in the session.
        publisher.publishAsync("t", `${n} `, { qos: 1 }).then(
          () => acknowledged.push(n),
          () => undefined,
        );
      }
      await eventually(() => expect(acknowledged.length > 0 || !publisher.connected).toBe(true));
      expect(acknowledged).toEqual([]);
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
    const broker = own.use(await startBroker(new TestIntake(), disk));
    const heard = new Set<number>();
    const back = mqtt.connect(broker.address, { clientId: "away", clean: false });
    own.defer(() => back.endAsync(true));
    back.on("message", (_topic, payload) => heard.add(Number(String(payload).split(" ")[0])));
    expect(said.length).toBeGreaterThan(100);
    await eventually(() => expect(said.filter((n) => !heard.has(n))).toEqual([]));
  });
});

async function publishUntil(publisher: mqtt.MqttClient, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    // What is not acknowledged is not what is looked at here.
    await publisher.publishAsync("t/x", Buffer.alloc(4_096), { qos: 1 }).catch(() => undefined);
  }
}
