import { expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { openDatabase, type OpenDatabase } from "../../../src/journal/database.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { append, commit, commitOf, entryOf, KEEPS_NOTHING } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

// The floor is read from memory: a message may be below it while what came of it is not on disk yet. Were it deleted then, a crash would lose it.
it("deletes messages after what came of them is written", async () => {
  await using folder = await TempFolder.make();
  const order: string[] = [];
  const hold = Promise.withResolvers<void>();
  const open: OpenDatabase = async (location) => {
    const database = await openDatabase(location);
    const batch = database.batch.bind(database);
    const clear = database.clear.bind(database);
    return Object.assign(database, {
      batch: async (...[ops, options]: Parameters<typeof batch>) => {
        if (options.points.has("commit")) await hold.promise;
        await batch(ops, options);
        order.push(...options.points);
      },
      clear: async (range: Parameters<typeof clear>[0]) => {
        order.push(range.point);
        await clear(range);
      },
    });
  };
  await using journal = await Journal.open({ location: folder.join("journal"), batchMax: 256, ...KEEPS_NOTHING }, open);
  for (let n = 1; n <= 20; n++) await append(journal, entryOf("t", `m${n}`));
  order.length = 0;

  const state = [{ key: "k", name: "n", value: Buffer.from("1") }];
  const committed = commit(journal, commitOf("f", new Cursor(11), { state }));
  const trimmed = journal.trim(11);
  // Work for the same database, after which a deletion that does not wait would have begun.
  for (let round = 0; round < 20; round++) await journal.loadState("f", "k");
  const early = [...order];
  hold.resolve();
  await Promise.all([committed, trimmed]);
  expect(early).toEqual([]);
  expect(order).toEqual(["commit", "trim", "trim"]);
  expect((await journal.read(1, 100)).length).toBeLessThan(20);
});
