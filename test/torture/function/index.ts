import { defineFunction } from "millrace";

/** What the messages of one key have come to. Numbers that came without a gap are kept as ranges, both ends included. */
interface Tally {
  readonly count: number;
  readonly ranges: readonly (readonly [number, number])[];
  /** Numbers that came again, and numbers that came after a higher one. */
  readonly doubled: readonly number[];
  readonly disordered: readonly number[];
}

const REPORTED_MAX = 50;

function added(tally: Tally, n: number): Tally {
  const { count, ranges, doubled, disordered } = tally;
  const last = ranges.at(-1);
  if (ranges.some(([first, end]) => n >= first && n <= end))
    return { ...tally, count: count + 1, doubled: [...doubled, n].slice(0, REPORTED_MAX) };
  if (last === undefined || n > last[1] + 1) return { ...tally, count: count + 1, ranges: [...ranges, [n, n]] };
  if (n === last[1] + 1) return { ...tally, count: count + 1, ranges: [...ranges.slice(0, -1), [last[0], n]] };
  return { count: count + 1, ranges: filled(ranges, n), doubled, disordered: [...disordered, n].slice(0, REPORTED_MAX) };
}

/** The ranges with a number that falls into a gap between them. */
function filled(ranges: Tally["ranges"], n: number): Tally["ranges"] {
  const before = ranges.filter(([first]) => first < n);
  const after = ranges.slice(before.length);
  const joins = before.at(-1)?.[1] === n - 1 ? before.pop() : undefined;
  const joined = after[0]?.[0] === n + 1 ? after.shift() : undefined;
  return [...before, [joins?.[0] ?? n, joined?.[1] ?? n], ...after];
}

/**
 * Counts each message of a key in its state, says so in an event, and passes it on. Now and then it throws, before or after all of that, or
 * computes without end until its limit cuts it.
 */
export default defineFunction<{ n: number }>({
  async handler(event, ctx) {
    const chance = Math.random();
    if (Math.random() < Number(ctx.env["LOOP"])) for (;;);
    if (chance < Number(ctx.env["THROW"])) throw new Error("thrown at random, before anything");
    const { key = "" } = event.params;
    const before = (await ctx.state.get<Tally>("tally")) ?? { count: 0, ranges: [], doubled: [], disordered: [] };
    for (let turn = 0; turn < Number(ctx.env["TURNS"]); turn++) await ctx.state.get(`turn-${turn}`);
    const tally = added(before, event.data.n);
    ctx.state.set("tally", tally);
    ctx.emit("tallied", { n: event.data.n, count: tally.count }, { subject: key });
    if (ctx.env["PASS_ON"] === "yes") ctx.publish(`out/${key}`, event.data, { qos: 1 });
    if (chance > 1 - Number(ctx.env["THROW"])) throw new Error("thrown at random, after everything");
  },
});
