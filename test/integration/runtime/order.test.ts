import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { append, entryOf } from "../../support/journal.ts";
import { TempFolder } from "../../support/temp-folder.ts";

/** Sends `count` messages with numbers, spread over `keys` keys; the topic is `in/KEY`. */
async function sendNumbers(core: Core, count: number, keys: number, first = 0): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => core.send(`in/k${(first + i) % keys}`, { n: first + i })));
}

/** What each key should have seen. */
function expectedNumbers(count: number, keys: number): Record<string, number[]> {
  return Object.fromEntries(
    Array.from({ length: keys }, (_row, key) => [
      `k${key}`,
      Array.from({ length: Math.ceil((count - key) / keys) }, (_, i) => key + i * keys),
    ]),
  );
}

describe("messages of one key", () => {
  it("are handled in order, each exactly once, by async handlers on several lanes and hosts", async () => {
    await using core = await Core.temporary({ hosts: 2 });
    await core.deploy(
      functionOf({
        concurrency: 4,
        // Takes a different number of turns of the event loop for each message, with and without asking for state.
        handler: `
          for (let i = 0; i < event.data.n % 5; i++) await null;
          if (event.data.n % 3 === 0) await ctx.state.get('x');
          ctx.state.set('x', event.data.n);
          ctx.emit('seen', event.data.n, { subject: event.params.k });`,
      }),
    );
    await sendNumbers(core, 3_000, 17);
    await core.drained();
    expect(await core.bySubject()).toEqual(expectedNumbers(3_000, 17));
    expect(core.stats("f")).toMatchObject({ handled: 3_000, failed: 0, backlog: 0 });
  });

  it("wait while one of them waits for its retry; other keys go on; then it goes on in order", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        retry: { attempts: 3, minMs: 30, maxMs: 60 },
        handler: `
          if (event.data.n === 0 && event.attempt < 3) throw new Error('not yet, attempt ' + event.attempt);
          ctx.emit('seen', event.data.n, { subject: event.params.k });`,
      }),
    );
    await sendNumbers(core, 200, 4);
    await core.drained();
    expect(await core.bySubject()).toEqual(expectedNumbers(200, 4));
    const order = (await core.events()).map(({ data }) => data);
    expect(order.indexOf(0)).toBeGreaterThan(order.indexOf(199)); // Key k0 came after the others were through.
    expect(core.stats("f")).toMatchObject({ handled: 200, failed: 2, retried: 2, deadLettered: 0 });
  });

  it("keep their order when retries are due at once and batches are still under way", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        retry: { attempts: 4, minMs: 0, maxMs: 0 },
        // Every seventh message fails twice; work between makes batches overlap with retries.
        handler: `
          for (let i = 0; i < 3000; i++) Math.sqrt(i);
          if (event.data.n % 7 === 0 && event.attempt < 3) throw new Error('again');
          ctx.emit('seen', event.data.n, { subject: event.params.k });`,
      }),
    );
    for (let first = 0; first < 2_000; first += 100) await sendNumbers(core, 100, 3, first);
    await core.drained();
    expect(await core.bySubject()).toEqual(expectedNumbers(2_000, 3));
  });

  it("go on after one that fails for good, which ends in the dead letters after its attempts", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        retry: { attempts: 3, minMs: 1, maxMs: 2 },
        handler: `
          if (event.data.n === 4) { ctx.emit('never', 1); ctx.state.set('never', 1); ctx.publish('never', 1); throw new TypeError('cannot ' + event.attempt); }
          ctx.emit('seen', event.data.n, { subject: event.params.k });`,
      }),
    );
    await sendNumbers(core, 20, 2);
    await core.drained();
    const expected = expectedNumbers(20, 2);
    expect(await core.bySubject()).toEqual({ ...expected, k0: expected["k0"]?.filter((n) => n !== 4) });
    const letters = await core.deadLetters();
    expect(letters).toEqual([
      expect.objectContaining({
        seq: 5,
        function: "f",
        version: 1,
        topic: "in/k0",
        attempts: 3,
        code: "FUNCTION_THREW",
        error: "cannot 3",
      }),
    ]);
    expect(Buffer.from(letters[0]?.payload ?? "", "base64").toString()).toBe('{"n":4}');
    expect(await core.journal.loadState("f", "k0")).toEqual([]);
    expect(core.published).toEqual([]);
    expect(core.stats("f")).toMatchObject({ handled: 19, failed: 3, retried: 2, deadLettered: 1 });
    const logs = core.runtime.logs.query({ level: "warn", limit: 10 }).records;
    expect(logs.map(({ level, invocation }) => `${level} ${invocation}`)).toEqual(["warn 5.1", "warn 5.2", "error 5.3"]);
  });
});

describe("a message that cannot be handled", () => {
  it("because it is not JSON, or because the handler says so, is given up at once", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        handler: `
          if (event.text === '"stop"') { const error = new Error('never again'); error.name = 'PermanentError'; throw error; }
          ctx.emit('seen', event.data);`,
      }),
    );
    for (const text of ["1", "{not json", '"stop"', "4", "", '"ü"']) await core.send("in/a", text);
    await core.drained();
    expect((await core.events()).map(({ data }) => data)).toEqual([1, 4, "ü"]);
    expect((await core.deadLetters()).map(({ seq, code, attempts, error }) => ({ seq, code, attempts, error }))).toEqual([
      { seq: 2, code: "PAYLOAD_INVALID", attempts: 1, error: expect.stringContaining('the payload on topic "in/a" is not JSON') as string },
      { seq: 3, code: "FUNCTION_THREW", attempts: 1, error: "never again" },
      { seq: 5, code: "PAYLOAD_INVALID", attempts: 1, error: expect.stringContaining("is not JSON") as string },
    ]);
  });

  it.each([1, 2, 100])("is tried %i times when the manifest says so, and reported once", async (attempts) => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        retry: { attempts, minMs: 0, maxMs: 0, maxAgeMs: 30 * 86_400_000 },
        onFailure: { emit: "gave-up" },
        handler: `if (event.data === 1) throw new Error('try ' + event.attempt); ctx.emit('seen', event.data);`,
      }),
    );
    await core.send("in/a", "1");
    await core.send("in/a", "2");
    await core.drained();
    expect(await core.deadLetters()).toMatchObject([{ seq: 1, attempts, error: `try ${attempts}` }]);
    expect((await core.events()).map(({ type, data }) => [type, type === "seen" ? data : (data as { attempts: number }).attempts])).toEqual(
      [
        ["gave-up", attempts],
        ["seen", 2],
      ],
    );
    expect(core.stats("f")).toMatchObject({ handled: 1, failed: attempts, retried: attempts - 1, deadLettered: 1 });
  });

  it("and is older than retry.maxAge is given up with its first failure", async () => {
    await using core = await Core.temporary();
    await core.deploy(
      functionOf({
        retry: { attempts: 100, maxAgeMs: 1_000 },
        handler: `if (event.data < 0) throw new Error('no'); ctx.emit('seen', event.data);`,
      }),
    );
    await core.send("in/a", "-1", { time: Date.now() - 2_000 });
    await core.send("in/a", "2");
    await core.drained();
    expect((await core.deadLetters()).map(({ seq, attempts }) => [seq, attempts])).toEqual([[1, 1]]);
    expect((await core.events()).map(({ data }) => data)).toEqual([2]);
  });
});

describe("when more comes than a function may hold", () => {
  it("the rest is read from the journal, in order, and every message is handled once", async () => {
    await using core = await Core.temporary({ pendingMax: 100 });
    await core.deploy(functionOf({ concurrency: 2, handler: `ctx.emit('seen', event.data.n, { subject: event.params.k });` }));
    for (let first = 0; first < 20_000; first += 5_000) await sendNumbers(core, 5_000, 10, first);
    await core.drained();
    expect(await core.bySubject()).toEqual(expectedNumbers(20_000, 10));
    expect(core.stats("f").handled).toBe(20_000);
  });

  it("and while it reads, what arrives is neither lost nor taken twice", async () => {
    await using core = await Core.temporary({ pendingMax: 3 });
    await core.deploy(functionOf({ handler: `ctx.emit('seen', event.data.n, { subject: event.params.k });` }));
    // Small steps: over and over the function reaches the end of the journal while the next message is being written.
    const senders = Array.from({ length: 4 }, async (_, sender) => {
      for (let i = 0; i < 250; i++) await core.send(`in/k${sender}`, { n: sender + i * 4 });
    });
    await Promise.all(senders);
    await core.drained();
    expect(await core.bySubject()).toEqual(expectedNumbers(1_000, 4));
  });
});

describe("a message that is written while the end of the journal is being read", () => {
  it("is handled although neither the reader nor the live path has offered it", async () => {
    let late = false;
    await using core = await Core.temporary({
      around: async (read, journal) => {
        const found = await read();
        if (found.length > 0 || late) return found;
        late = true;
        await append(journal, entryOf("in/k0", '{"n":0}'));
        return found;
      },
    });
    await core.deploy(functionOf({ handler: `ctx.emit('seen', event.data.n, { subject: event.params.k });` }));
    await eventually(() => expect(late).toBe(true));
    await core.send("in/k0", { n: 1 });
    await core.drained();
    expect(await core.bySubject()).toEqual({ k0: [0, 1] });
  });
});

describe("after a stop and a start", () => {
  it("the function goes on with the first message that it had not handled", async () => {
    await using folder = await TempFolder.make();
    const counting = functionOf({ handler: `ctx.emit('seen', event.data.n, { subject: event.params.k });` });
    for (let round = 0; round < 4; round++) {
      await using core = await Core.open({ folder: folder.path });
      await core.deploy(counting);
      await sendNumbers(core, 500, 5, round * 500); // Not drained: the stop comes in the middle.
    }
    await using core = await Core.open({ folder: folder.path });
    await core.deploy(counting);
    await core.drained();
    expect(await core.bySubject()).toEqual(expectedNumbers(2_000, 5));
  });
});

describe("a guest that puts everything off", () => {
  it("with relaxed order, where nothing waits for an earlier message, gets its messages into the dead letters", async () => {
    await using core = await Core.temporary();
    await core.deploy(functionOf({ order: "relaxed", prelude: "Set.prototype.has = () => true;", handler: "ctx.emit('x', 1)" }));
    await Promise.all([core.send("in/a", 1), core.send("in/b", 2)]);
    await core.drained();
    const letters = await core.deadLetters();
    expect(letters.map(({ topic, code, attempts }) => `${topic} ${code} ${attempts}`).toSorted()).toEqual([
      "in/a FUNCTION_THREW 3",
      "in/b FUNCTION_THREW 3",
    ]);
  });
});
