import { describe, expect, it } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const counter = functionOf({
  concurrency: 2,
  handler: `
    const n = (await ctx.state.get('n') ?? 0) + 1;
    ctx.state.set('n', n);
    ctx.emit('count', n, { subject: event.params.k });`,
});

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

async function storedState(core: Core, key: string): Promise<Record<string, unknown>> {
  const entries = await core.journal.loadState("f", key);
  return Object.fromEntries(entries.map(({ name, value }) => [name, JSON.parse(value.toString()) as unknown]));
}

describe("state", () => {
  it("is seen by the next message of the key, within a batch, across batches and after a restart", async () => {
    await using folder = await TempFolder.make();
    for (const round of [1, 2, 3]) {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(counter);
      await Promise.all(Array.from({ length: 900 }, (_, i) => core.send(`in/k${i % 3}`, i)));
      await core.drained();
      const expected = upTo(300 * round);
      expect(await core.bySubject()).toEqual({ k0: expected, k1: expected, k2: expected });
      expect(await storedState(core, "k0")).toEqual({ n: 300 * round });
    }
  });

  it("of more keys than an isolate remembers is loaded again when it is needed", async () => {
    await using core = await Core.temporary();
    await core.deploy(counter);
    for (let pass = 0; pass < 2; pass++) {
      await Promise.all(Array.from({ length: 12_000 }, (_, i) => core.send(`in/k${i}`, pass, { qos: 1 })));
      await core.drained();
    }
    const counts = new Map<unknown, number>();
    for (const { data } of await core.events()) counts.set(data, (counts.get(data) ?? 0) + 1);
    expect([...counts]).toEqual([
      [1, 12_000],
      [2, 12_000],
    ]);
  });

  it("of keys that are too large together for one answer is there for each of them", async () => {
    await using core = await Core.temporary();
    const large = functionOf({
      name: "large",
      handler: `
        const parts = 14;
        let sum = 0;
        for (let i = 0; i < parts; i++) {
          const text = (await ctx.state.get('part' + i)) ?? '0' + 'x'.repeat(60_000);
          const count = Number.parseInt(text, 10) + 1;
          sum += count;
          ctx.state.set('part' + i, count + 'x'.repeat(60_000));
        }
        ctx.emit('sum', sum / parts, { subject: event.params.k });`,
    });
    await core.deploy(large);
    for (const round of [1, 2, 3]) {
      await Promise.all(Array.from({ length: 20 }, (_, i) => core.send(`in/k${i % 10}`, round)));
      await core.drained();
    }
    const events = await core.bySubject();
    for (let key = 0; key < 10; key++) expect(events[`k${key}`], `k${key}`).toEqual([1, 2, 3, 4, 5, 6]);
    expect(core.stats("large")).toMatchObject({ handled: 60, failed: 0 });
  });

  it("can be deleted, and holds every JSON value under every name", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        handler: `
          const { op, name, value } = event.data;
          if (op === 'set') ctx.state.set(name, value);
          if (op === 'delete') ctx.state.delete(name);
          const before = await ctx.state.get(name);
          ctx.emit('got', before === undefined ? 'nothing' : before);`,
      }),
    );
    const values = [0, "", null, false, "ä\u0000\ud83d\ude00", { a: [1, { b: null }] }, -1.5e-7];
    const names = ["n", "__proto__", "constructor", "ä", "a\u0000b"];
    const sent: unknown[] = [];
    for (const name of names) {
      for (const value of values) {
        await core.send("in/k", { op: "set", name, value });
        await core.send("in/k", { op: "get", name });
        sent.push(value, value);
      }
    }
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual(sent);
    for (const name of names) await core.send("in/k", { op: "delete", name });
    await core.drained();
    expect((await core.events()).slice(sent.length).map(({ data }) => data)).toEqual(names.map(() => "nothing"));
    expect(await core.journal.loadState("f", "k")).toEqual([]);
  });

  it("belongs to one key and one function, whatever the key is called", async () => {
    await using core = await Core.temporary();
    const body = `
      const n = (await ctx.state.get('n') ?? 0) + 1;
      ctx.state.set('n', n);
      ctx.emit(ctx.function.name, n, { subject: event.params.k });`;
    await core.deploy(functionOf({ name: "f", handler: body }), functionOf({ name: "ff", handler: body }));
    // Names that every JavaScript object has must not be found where nothing is stored.
    const keys = ["constructor", "__proto__", "toString", "hasOwnProperty", "ä", " ", "0"];
    for (let pass = 0; pass < 2; pass++) for (const key of keys) await core.send(`in/${key}`, pass);
    await core.drained();
    for (const name of ["f", "ff"]) {
      const events = await core.events(name);
      for (const key of keys)
        expect(
          events.filter(({ subject }) => subject === key).map(({ data }) => data),
          `${name} ${key}`,
        ).toEqual([1, 2]);
    }
    expect(await core.deadLetters()).toEqual([]);
  });

  it("is not changed by a message that fails, nor by what it did before it failed", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        retry: { attempts: 2, minMs: 0, maxMs: 0 },
        handler: `
          const n = await ctx.state.get('n') ?? 0;
          ctx.state.set('n', n + 1);
          if (await ctx.state.get('n') !== n + 1) throw new Error('does not see its own write');
          if (event.data === 'bad') throw new Error('bad');
          ctx.emit('count', n + 1);`,
      }),
    );
    await Promise.all(["ok", "bad", "ok", "bad", "bad", "ok"].map((text) => core.send("in/k", JSON.stringify(text))));
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([1, 2, 3]);
    expect((await core.deadLetters()).map(({ seq }) => seq)).toEqual([2, 4, 5]);
  });

  it("that was asked for and not waited for does not bring back what was there before", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        prelude: "let first = true",
        handler: `
          // Two requests are under way when the first answer lets the handler go on.
          if (first) { first = false; await Promise.race([ctx.state.get('a'), ctx.state.get('n'), ctx.state.get('b')]); }
          const n = (await ctx.state.get('n') ?? 0) + 1;
          ctx.state.set('n', n);
          for (let i = 0; i < 200; i++) void ctx.state.get('other');
          ctx.emit('count', n);`,
      }),
    );
    for (let round = 0; round < 4; round++) {
      await Promise.all(Array.from({ length: 25 }, (_, i) => core.send("in/k", i)));
      await core.drained();
    }
    expect((await core.events()).map(({ data }) => data)).toEqual(upTo(100));
  });

  it("over its limits is refused with LIMIT_STATE, at once and for this message only", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        limits: { stateValueBytes: 100_000, outputBytes: 4 * 2 ** 20, memoryBytes: 64 * 2 ** 20 },
        handler: `
          if (event.data === 'value') ctx.state.set('n', 'x'.repeat(100_001));
          if (event.data === 'key') for (let i = 0; i < 20; i++) ctx.state.set('n' + i, 'x'.repeat(90_000));
          if (event.data === 'name') ctx.state.set('', 1);
          ctx.state.set('m', event.data);`,
      }),
    );
    for (const text of ["value", "key", "name", "fine"]) await core.send("in/k", JSON.stringify(text));
    await core.drained();
    expect((await core.deadLetters()).map(({ seq, code, attempts }) => [seq, code, attempts])).toEqual([
      [1, "LIMIT_STATE", 1],
      [2, "LIMIT_STATE", 1],
      [3, "FUNCTION_THREW", 3],
    ]);
    expect(await storedState(core, "k")).toEqual({ m: "fine" });
  });
});
