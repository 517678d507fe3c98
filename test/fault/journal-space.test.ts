import { execFile } from "node:child_process";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { Cursor } from "../../src/core/cursor.ts";
import { eventually } from "../support/eventually.ts";
import { allTexts, append, commit, commitOf, entryOf, openJournal } from "../support/journal.ts";
import { TempFolder } from "../support/temp-folder.ts";

/** A disk on which something else takes the space: the journal stops taking messages while it can still write what makes room. */
const run = promisify(execFile);
const MB = 1024 * 1024;

it("lets messages wait on a disk that is nearly full, while commits go on, and takes them when there is space again", async ({ skip }) => {
  await using folder = await TempFolder.make();
  const disk = folder.join("disk");
  await mkdir(disk);
  const mounted = await run("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", disk]).then(
    () => undefined,
    (error: unknown) => `this user cannot mount a small file system here: ${String(error).slice(0, 200)}`,
  );
  skip(mounted !== undefined, mounted);
  await using own = new AsyncDisposableStack();
  own.defer(async () => void (await run("umount", [disk])));
  const journal = own.use(await openJournal(`${disk}/journal`, {}, { freeSpaceMin: 24 * MB }));
  const told: boolean[] = [];
  await journal.keep({ consumed: () => 1, pressure: () => undefined, lowSpace: (low) => told.push(low) });
  await append(journal, entryOf("t", "before"));
  expect(journal.waiting).toEqual([]);

  const { bavail, bsize } = await statfs(disk);
  await writeFile(`${disk}/ballast`, Buffer.alloc(bavail * bsize - 16 * MB));
  await eventually(() => expect(journal.waiting).toEqual(["space"]));
  let taken = false;
  const waiting = append(journal, entryOf("t", "during")).then(() => (taken = true));
  await commit(journal, commitOf("f", new Cursor(2)));
  expect(taken).toBe(false);

  await rm(`${disk}/ballast`);
  await waiting;
  expect([journal.waiting, told]).toEqual([[], [true, false]]);
  expect(await allTexts(journal)).toEqual(["1:before", "2:during"]);
});
