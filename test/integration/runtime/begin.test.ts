import { expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Core } from "../../support/core.ts";
import { functionOf } from "../../support/functions.ts";
import { TempFolder } from "../../support/temp-folder.ts";

const first = functionOf({ name: "first", handler: `ctx.publish('mid/x', event.text);` });
const second = functionOf({ name: "second", triggers: ["mid/+k"], handler: `ctx.emit('arrived', event.text);` });

const warm = { handler: `ctx.emit('arrived', event.text);` };

it("after a start no function handles anything before those that it wakes are back", async () => {
  await using folder = await TempFolder.make();
  {
    await using before = await Core.open({ folder: folder.path });
    await before.deploy(first, second);
    await before.drained();
  }
  {
    await using stopped = await Core.open({ folder: folder.path, begin: false });
    await stopped.deploy(first, second);
    for (let i = 0; i < 100; i++) await stopped.send("in/x", String(i));
  }
  await using core = await Core.open({ folder: folder.path, begin: false });
  await core.deploy(first);
  await core.deploy(second);
  expect(core.stats("first").handled).toBe(0);
  core.runtime.begin();
  await core.drained();
  expect((await core.events("arrived")).map(({ data }) => data)).toEqual(Array.from({ length: 100 }, (_, i) => String(i)));
});

it("a function that is kept warm and does not start any more keeps its messages until it does", async () => {
  await using folder = await TempFolder.make();
  const kept = functionOf({ ...warm, warm: 1 });
  {
    await using before = await Core.open({ folder: folder.path });
    await before.deploy(kept);
  }
  {
    await using broken = await Core.open({ folder: folder.path });
    const bundle = { ...kept.bundle, code: "throw new Error('not today')" };
    await expect(broken.runtime.deploy(kept.target, bundle)).rejects.toMatchObject({ code: "FUNCTION_LOAD_FAILED" });
    expect(broken.runtime.matches("in/x")).toBe("durable");
    await broken.send("in/x", "kept");
    expect(broken.stats("f")).toMatchObject({ error: expect.stringContaining("not today") as unknown });
  }
  await using core = await Core.open({ folder: folder.path });
  await core.deploy(kept);
  await core.drained();
  expect((await core.events("arrived")).map(({ data }) => data)).toEqual(["kept"]);
});

it("a function that does not start any more keeps its messages until it does", async () => {
  await using folder = await TempFolder.make();
  {
    await using before = await Core.open({ folder: folder.path });
    await before.deploy(second);
    await before.drained();
  }
  {
    await using broken = await Core.open({ folder: folder.path });
    const bundle = { ...second.bundle, code: "throw new Error('not today')" };
    await broken.runtime.deploy(second.target, bundle);
    expect(broken.runtime.matches("mid/x")).toBe("durable");
    await broken.send("mid/x", "kept");
    await eventually(() => expect(broken.stats("second")).toMatchObject({ error: expect.stringContaining("not today") as unknown }));
  }
  await using core = await Core.open({ folder: folder.path });
  await core.deploy(second);
  await core.drained();
  expect((await core.events("arrived")).map(({ data }) => data)).toEqual(["kept"]);
});
