import * as fc from "fast-check";
import { expect, it } from "vitest";
import { Cursor } from "../../../src/core/cursor.ts";
import { dueOf } from "../../../src/core/state-value.ts";
import { Journal } from "../../../src/journal/journal.ts";
import { commit, commitOf, KEEPS_NOTHING } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

type Move =
  | { readonly what: "set"; readonly name: string; readonly ttl: number | undefined }
  | { readonly what: "delete"; readonly name: string }
  | { readonly what: "pass"; readonly ms: number }
  | { readonly what: "sweep" | "reopen" };

const name = fc.constantFrom("a", "b", "c\0d");
const move: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      what: fc.constant("set" as const),
      name,
      ttl: fc.option(fc.integer({ min: 1, max: 50_000 }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("delete" as const), name }) },
  { weight: 3, arbitrary: fc.record({ what: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 40_000 }) }) },
  { weight: 4, arbitrary: fc.record({ what: fc.constant("sweep" as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant("reopen" as const) }) },
);

function stored(text: string, expires: number | undefined): Buffer {
  if (expires === undefined) return Buffer.from(text);
  const head = Buffer.from([1, 0, 0, 0, 0, 0, 0]);
  head.writeUIntBE(expires, 1, 6);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** A journal, and what has to be in it. */
class World {
  readonly #location: string;
  #journal: Journal | undefined;
  #now = 1_000_000;
  #writes = 0;
  readonly #kept = new Map<string, { readonly text: string; readonly expires: number | undefined }>();
  #steps: Promise<unknown>[] = [];

  constructor(location: string) {
    this.#location = location;
  }

  async play(moves: readonly Move[]): Promise<void> {
    for (const one of moves) {
      if (one.what === "pass") this.#now += one.ms;
      if (one.what === "delete") this.#kept.delete(one.name);
      if (one.what === "delete") await this.#commit({ key: "k", name: one.name });
      if (one.what === "set") await this.#set(one.name, one.ttl);
      // Not waited for: values are written while it looks.
      if (one.what === "sweep") this.#steps.push((await this.#open()).expiry.step("f", this.#now));
      if (one.what === "reopen") await this.close();
    }
  }

  #set(at: string, ttl: number | undefined): Promise<void> {
    const text = String(this.#writes++);
    const expires = ttl === undefined ? undefined : this.#now + ttl;
    this.#kept.set(at, { text, expires });
    const due = expires === undefined ? {} : { due: dueOf(expires, this.#now) };
    return this.#commit({ key: "k", name: at, value: stored(text, expires), ...due });
  }

  async #commit(write: { key: string; name: string; value?: Buffer; due?: number }): Promise<void> {
    await commit(await this.#open(), commitOf("f", new Cursor(1), { state: [write] }));
  }

  /** What is stored otherwise than it has to be, by name. What has expired may be there or not. */
  async wrong(): Promise<string[]> {
    await this.#ended();
    const found = new Map((await (await this.#open()).loadState("f", "k")).map((entry) => [entry.name, entry.value.toString("hex")]));
    const wrong = [...found.keys()].filter((at) => !this.#kept.has(at));
    for (const [at, { text, expires }] of this.#kept) {
      const isLeft = expires === undefined || expires > this.#now;
      if (isLeft && found.get(at) !== stored(text, expires).toString("hex")) wrong.push(at);
    }
    return wrong;
  }

  /** What is left once everything is due that can be, and what ought to be; then the functions of which something is still looked for. */
  async end(): Promise<readonly [readonly string[], readonly string[], readonly string[]]> {
    const journal = await this.#open();
    for (let more = true; more;) ({ more } = await journal.expiry.step("f", this.#now + 1_000_000));
    const lasting = [...this.#kept].filter(([, { expires }]) => expires === undefined).map(([at]) => at);
    const left = (await journal.loadState("f", "k")).map((entry) => entry.name);
    const sought = [...(await journal.expiry.due(Infinity))];
    await this.close();
    return [left, lasting.toSorted(), [...sought, ...(await (await this.#open()).expiry.due(Infinity))]];
  }

  async #open(): Promise<Journal> {
    this.#journal ??= await Journal.open({ location: this.#location, batchMax: 256, ...KEEPS_NOTHING });
    return this.#journal;
  }

  async #ended(): Promise<void> {
    await Promise.all(this.#steps.splice(0));
  }

  async close(): Promise<void> {
    await this.#ended();
    await this.#journal?.close();
    this.#journal = undefined;
  }
}

it("what is stored and has not expired stays, what has expired goes, however writes and sweeps meet", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(move, { maxLength: 30 }), async (moves) => {
      await using folder = await TempFolder.make();
      const world = new World(folder.join("journal"));
      try {
        await world.play(moves);
        expect(await world.wrong()).toEqual([]);
        const [left, lasting, sought] = await world.end();
        expect(left).toEqual(lasting);
        expect(sought).toEqual([]);
      } finally {
        await world.close();
      }
    }),
    { numRuns: 60 },
  );
}, 60_000);
