import fs from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { controlApi } from "../../../src/core/control-api.ts";
import { RawGateway, sampleEvent, startControl, temporaryFolder } from "./support.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => void (folder = await temporaryFolder()));
afterAll(() => folder[Symbol.asyncDispose]());

const portOf = (address: string): number => Number(new URL(address).port);

describe("a control plane", { timeout: 120_000 }, () => {
  it("is the only one in its folder, frees it when it is closed, and finds everything again", async () => {
    const first = await startControl(folder.path);
    await expect(startControl(folder.path)).rejects.toMatchObject({ code: "DATA_LOCKED", message: expect.stringContaining(folder.path) });
    {
      await using gateway = await RawGateway.connect(first.addresses.mqtt, "gw");
      expect(await gateway.upload(1, [sampleEvent("gw", 1)])).toMatchObject({ stored: 1 });
    }
    await Promise.all([first.close(), first.close()]);
    await first.stopped;

    await using second = await startControl(folder.path);
    const stats = controlApi.stats.parse(await (await fetch(`${second.addresses.http}/v1/stats`)).json());
    expect(stats.events).toBe(1);
    await using gateway = await RawGateway.connect(second.addresses.mqtt, "gw");
    expect(await gateway.upload(1, [sampleEvent("gw", 1), sampleEvent("gw", 2)])).toMatchObject({ stored: 1, duplicates: 1 });
  });

  it("makes its store anew when the first start was interrupted", async () => {
    await using fresh = await temporaryFolder();
    await mkdir(join(fresh.path, "pg.new", "base"), { recursive: true });
    await writeFile(join(fresh.path, "pg.new", "PG_VERSION"), "18");
    await using control = await startControl(fresh.path);
    expect((await fetch(`${control.addresses.http}/readyz`)).status).toBe(200);
    expect(await readdir(fresh.path)).not.toContain("pg.new");
  });

  it("syncs each commit to the disk before it acknowledges", async () => {
    await using control = await startControl(folder.path);
    await using gateway = await RawGateway.connect(control.addresses.mqtt, "synced");
    const real = fs.fsyncSync;
    let syncs = 0;
    fs.fsyncSync = (fd) => {
      syncs += 1;
      real(fd);
    };
    syncBuiltinESMExports();
    try {
      await gateway.upload(1, [sampleEvent("synced", 1)]);
      const afterFirst = syncs;
      await gateway.upload(2, [sampleEvent("synced", 2)]);
      expect(afterFirst).toBeGreaterThan(0);
      expect(syncs).toBeGreaterThan(afterFirst);
    } finally {
      fs.fsyncSync = real;
      syncBuiltinESMExports();
    }
  });

  it("names the port that is taken, and gives back what it had opened", async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await expect(startControl(folder.path, { http: port })).rejects.toMatchObject({
      code: "PORT_IN_USE",
      message: expect.stringContaining(`${port}`),
    });
    await expect(startControl(folder.path, { mqtt: port })).rejects.toMatchObject({ code: "PORT_IN_USE" });
    await new Promise((resolve) => taken.close(resolve));
    await using control = await startControl(folder.path, { http: port });
    expect(portOf(control.addresses.http)).toBe(port);
  });

  it("says that its folder cannot be used", async () => {
    const file = join(folder.path, "a-file");
    await writeFile(file, "");
    await expect(startControl(join(file, "data"))).rejects.toMatchObject({ code: "DATA_UNWRITABLE" });
  });
});
