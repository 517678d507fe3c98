import { Cursor } from "../core/cursor.ts";
import { messageOf } from "../core/errors.ts";
import { decodeBlock } from "./block.ts";
import type { Database, LevelOp } from "./database.ts";
import { DeadLetters } from "./dead-letters.ts";
import { nameOf, numberKey, numberOf, prefixRange } from "./keys.ts";
import { Seqs } from "./seqs.ts";

/** What was wrong inside the database, and the writes that put it right. */
interface Findings {
  readonly problems: string[];
  readonly repairs: LevelOp[];
}

interface Examination extends Findings {
  /** Every seq that anything speaks of is below. */
  readonly above: number;
}

/**
 * Looks for what a crash, a power cut or a repair can leave behind in the part that is read at the start: blocks at the end that are no blocks,
 * cursors and functions beyond the end, an account that does not add up. `thorough` also counts what is otherwise taken as it stands.
 */
export async function examine(database: Database, thorough: boolean): Promise<Examination> {
  const found: Findings = { problems: [], repairs: [] };
  const end = Math.max(await examineBlocks(database, found), Seqs.read(await database.get(Seqs.key)), 1);
  const above = await examineCursors(database, end, found);
  if (thorough) await examineDeadLetters(database, found);
  return { ...found, above: Math.max(above, end) };
}

/** From the last entry of the index on, and at least the last block. Returns one more than the highest seq. */
async function examineBlocks(database: Database, found: Findings): Promise<number> {
  const [entry] = await database.keys({ ...prefixRange("i"), reverse: true, limit: 1 }).all();
  const [last] = await database.keys({ ...prefixRange("j"), reverse: true, limit: 1 }).all();
  if (last === undefined) return 0;
  const from = Math.min(numberOf(last), entry === undefined ? Infinity : numberOf(entry));
  let end = 0;
  for await (const [key, value] of database.iterator({ gte: numberKey("j", from), lt: Buffer.from("k") })) {
    const first = numberOf(key);
    try {
      end = (decodeBlock(first, value).at(-1)?.seq ?? first) + 1;
    } catch (error) {
      found.problems.push(`the block of seq ${first} is unreadable (${messageOf(error)}) and is deleted`);
      found.repairs.push({ type: "del", key });
      end = first + value.length;
    }
  }
  return end;
}

/** `end`: the next seq as far as is known. Returns one more than the highest seq that a cursor speaks of. */
async function examineCursors(database: Database, end: number, found: Findings): Promise<number> {
  let above = 0;
  for await (const [key, value] of database.iterator(prefixRange("c"))) {
    try {
      const cursor = Cursor.decode(value);
      if (cursor.end > end)
        found.problems.push(`the cursor of "${nameOf(key)}" is at ${cursor.end}, beyond ${end}: messages before it are lost`);
      above = Math.max(above, cursor.end);
    } catch (error) {
      found.problems.push(`the cursor of "${nameOf(key)}" is unreadable (${messageOf(error)}): it begins anew with the oldest message`);
      found.repairs.push({ type: "put", key, value: new Cursor(0).encode() });
    }
  }
  return above;
}

async function examineDeadLetters(database: Database, found: Findings): Promise<void> {
  const account = await DeadLetters.account(database);
  const counted = await DeadLetters.counted(database);
  if (account === undefined || (account.bytes === counted.bytes && account.count === counted.count)) return;
  found.problems.push(
    `${account.count} dead letters of ${account.bytes} bytes were accounted for, ${counted.count} of ${counted.bytes} are there`,
  );
  found.repairs.push({ type: "del", key: DeadLetters.key });
}
