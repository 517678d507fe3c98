import { readFile, stat } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AuditLog } from "../../../../src/broker/access/audit-log.ts";
import { silentLogger } from "../../../../src/core/log.ts";
import { HandClock } from "../../../support/hand-clock.ts";
import { TempFolder } from "../../../support/temp-folder.ts";

let folder: TempFolder;
beforeEach(async () => {
  folder = await TempFolder.make();
});
afterEach(() => folder[Symbol.asyncDispose]());

async function entriesOf(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe("the audit log", () => {
  it("goes on where it was, for its owner only, with texts of a bounded length", async () => {
    const file = folder.join("audit.log");
    for (const client of ["a", "b".repeat(5_000)]) {
      await using log = new AuditLog({ file, bytesMax: 100_000 }, silentLogger, new HandClock(0));
      log.note({ event: "connected", client, user: undefined, proof: "none" });
    }
    expect(await entriesOf(file)).toEqual([
      { time: "1970-01-01T00:00:00.000Z", event: "connected", client: "a", proof: "none" },
      { time: "1970-01-01T00:00:00.000Z", event: "connected", client: "b".repeat(200), proof: "none" },
    ]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it("keeps the newest within its bound, and says what it had to leave out", async () => {
    const file = folder.join("audit.log");
    for (let round = 0; round < 30; round++) {
      await using log = new AuditLog({ file, bytesMax: 4_000 }, silentLogger, new HandClock(0));
      for (let index = 0; index < 10; index++) log.note({ event: "refused", client: `c${round * 10 + index}`, reason: "why" });
    }
    const [now, before] = [await stat(file), await stat(`${file}.1`)];
    expect(now.size + before.size).toBeLessThanOrEqual(4_000);
    const kept = [...(await entriesOf(`${file}.1`)), ...(await entriesOf(file))].map(({ client }) => client);
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => `c${300 - kept.length + index}`));
    {
      await using log = new AuditLog({ file: folder.join("other.log"), bytesMax: 10_000_000 }, silentLogger, new HandClock(0));
      for (let index = 0; index < 1_600; index++) log.note({ event: "refused", client: `c${index}` });
    }
    const all = await entriesOf(folder.join("other.log"));
    const left = all.filter((entry) => "leftOut" in entry).map((entry) => Number(entry["leftOut"]));
    expect(left.length).toBeGreaterThan(0);
    expect(all.length - left.length + left.reduce((sum, count) => sum + count, 0)).toBe(1_600);
  });

  it("is not there when nobody wants it", async () => {
    {
      await using log = new AuditLog({ file: folder.join("audit.log"), bytesMax: 0 }, silentLogger, new HandClock(0));
      log.note({ event: "connected" });
    }
    await expect(stat(folder.join("audit.log"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});
