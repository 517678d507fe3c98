import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { Journal } from "../../src/journal/journal.ts";
import { allTexts, append, entryOf, openJournal } from "../support/journal.ts";
import { TempFolder } from "../support/temp-folder.ts";

/**
 * A disk that takes no more. What was acknowledged before is there afterwards; what was not has been refused with a typed error, and the
 * journal says that it cannot go on.
 */
const run = promisify(execFile);
const FILL = new URL("journal-fill.ts", import.meta.url).pathname;

interface Told {
  readonly acknowledged: number;
  readonly failure: string;
  readonly stopped: string;
  readonly later: string;
}

/** Fills the journal in `folder` in a process in which `limit`, a line of shell, has taken effect. */
async function fill(folder: string, limit: string): Promise<Told> {
  const { stdout } = await run("bash", ["-c", `${limit} && exec "$0" "$1" "$2"`, process.execPath, FILL, folder]);
  return JSON.parse(stdout) as Told;
}

async function expectAcknowledged(location: string, acknowledged: number): Promise<void> {
  const journal = await openJournal(location);
  const texts = await allTexts(journal);
  expect(texts.slice(0, acknowledged).map((text) => Number(text.split(":")[1]?.replaceAll(".", "")))).toEqual(
    Array.from({ length: acknowledged }, (_, i) => i + 1),
  );
  await append(journal, entryOf("t", "after"));
  await journal.close();
}

describe("a journal that cannot be written any more", () => {
  it("refuses appends with DISK_FULL, stops, and has kept what it acknowledged", async () => {
    await using folder = await TempFolder.make();
    // A file of more than 1 MB (2,048 blocks) is refused by the kernel; without the trap its signal would end the process.
    const told = await fill(folder.join("journal"), "trap '' XFSZ; ulimit -f 1024");
    expect(told).toMatchObject({ failure: "DISK_FULL", stopped: "DISK_FULL", later: "DISK_FULL" });
    expect(told.acknowledged).toBeGreaterThan(100);
    await expectAcknowledged(folder.join("journal"), told.acknowledged);
  });

  it("does the same on a file system that is full", async ({ skip }) => {
    await using folder = await TempFolder.make();
    const disk = folder.join("disk");
    await mkdir(disk);
    const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", disk]).then(
      () => undefined,
      (error: unknown) => `this user cannot mount a small file system here: ${String(error).slice(0, 200)}`,
    );
    skip(mounted !== undefined, mounted);
    await using own = new AsyncDisposableStack();
    own.defer(async () => void (await run("umount", [disk])));
    const told = await fill(`${disk}/journal`, "true");
    expect(told).toMatchObject({ failure: "DISK_FULL", stopped: "DISK_FULL", later: "DISK_FULL" });
    expect(told.acknowledged).toBeGreaterThan(100);
    await run("mount", ["-o", "remount,size=20m", disk]);
    await expectAcknowledged(`${disk}/journal`, told.acknowledged);
  });
});

describe("a journal that cannot be opened", () => {
  it("because another one has it says DATA_LOCKED, and leaves that one alone", async () => {
    await using folder = await TempFolder.make();
    const journal = await openJournal(folder.join("journal"));
    await expect(Journal.open({ location: folder.join("journal"), batchMax: 1 })).rejects.toMatchObject({ code: "DATA_LOCKED" });
    await append(journal, entryOf("t", "x"));
    await journal.close();
  });

  it("because its folder cannot be made or is a file says DATA_UNWRITABLE", async () => {
    await using folder = await TempFolder.make();
    await writeFile(folder.join("file"), "");
    for (const location of [folder.join("file"), folder.join("file", "journal"), folder.join("file", "a", "b")]) {
      await expect(Journal.open({ location, batchMax: 1 })).rejects.toMatchObject({ code: "DATA_UNWRITABLE" });
    }
  });

  it("because it is damaged beyond repair says DATA_CORRUPT", async () => {
    await using folder = await TempFolder.make();
    await (await openJournal(folder.join("journal"))).close();
    await rm(folder.join("journal", "CURRENT"));
    await mkdir(folder.join("journal", "CURRENT"));
    await expect(Journal.open({ location: folder.join("journal"), batchMax: 1 })).rejects.toMatchObject({ code: "DATA_CORRUPT" });
  });
});
