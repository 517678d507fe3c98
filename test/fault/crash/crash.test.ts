import { expect, it } from "vitest";
import { WRITE_POINTS, type WritePoint } from "../../../src/journal/database.ts";
import { TempFolder } from "../../support/temp-folder.ts";
import { CrashGateway } from "./gateway.ts";
import { wrongInLanes } from "./lanes.ts";
import { type Crash, crashes, Moments, Outside } from "./moments.ts";
import { broken } from "./promises.ts";
import { RecordedDatabase, type RecordedWrite, rebuild } from "./recorder.ts";
import { goOn, play } from "./script.ts";

/**
 * The invariant: wherever the gateway crashes, by a kill or by a power cut, after it has gone on
 *
 *   every acknowledged message counts in function state, in the cloud's events and in what it woke, exactly once;
 *   what was not acknowledged and sent again counts once, at QoS 2 by its packet id, at QoS 1 by its idempotency key;
 *   what is in the outbox reaches the cloud unless its policy drops it, and its accounts are those of what is stored;
 *   every time of a schedule comes, and none comes twice;
 *   messages of one key were handled in order; local subscribers got everything at least once.
 *
 * One run is recorded: every write and everything that the world outside was told, in their order. Then each crash is made: a database with
 * the writes that survive it, a world that knows what it knew then, and a gateway that starts on both.
 */
const AT_ONCE = 3;

async function recover(crash: Crash, writes: readonly RecordedWrite[], moments: Moments): Promise<string[]> {
  await using folder = await TempFolder.make();
  await rebuild(folder.join("journal"), writes.slice(0, crash.survived));
  const known = moments.all.slice(0, crash.moments);
  await using gateway = await CrashGateway.open(folder.join("journal"), { outside: new Outside(known), moments: new Moments() });
  await gateway.restore();
  await goOn(gateway);
  return (await broken(gateway, new Outside(known))).map((problem) => `${crash.what}: ${problem}`);
}

it("keeps every promise through a crash before and after every write", { timeout: 600_000 }, async () => {
  await using folder = await TempFolder.make();
  const moments = new Moments();
  const writes: RecordedWrite[] = [];
  {
    const world = { outside: new Outside([]), moments };
    await using gateway = await CrashGateway.open(folder.join("journal"), world, RecordedDatabase.opener(writes, moments));
    await play(gateway);
    expect(await broken(gateway, gateway.outside)).toEqual([]);
    expect(gateway.drops.all().map(({ reason }) => reason)).toEqual(expect.arrayContaining(["outbox-overflow", "outbox-replaced"]));
  }
  expect(wrongInLanes(writes, moments)).toEqual([]);
  const problems: string[] = [];
  const crashedAt = new Set<WritePoint>();
  const waiting = crashes(writes, moments.all);
  const work = async (): Promise<void> => {
    // The first crash that breaks a promise says enough.
    for (let crash = waiting.pop(); crash !== undefined && problems.length === 0; crash = waiting.pop()) {
      problems.push(...(await recover(crash, writes, moments)));
      for (const point of crash.points) crashedAt.add(point);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  expect(problems).toEqual([]);
  expect(WRITE_POINTS.filter((point) => !crashedAt.has(point))).toEqual([]);
});
