import { describe, expect, it, vi } from "vitest";
import { Core } from "../../support/core.ts";
import { functionOf, type TestFunction } from "../../support/functions.ts";

const alone = (name: string): TestFunction => functionOf({ name, isolation: "process", handler: "" });

describe("the own host of a function is free for another one", () => {
  it("when the function is removed", async () => {
    await using core = await Core.temporary({ ownHostsMax: 2 });
    await core.deploy(alone("first"));
    await expect(core.deploy(alone("second"))).rejects.toMatchObject({ code: "HOSTS_TAKEN" });
    await core.runtime.remove("first");
    await core.deploy(alone("second"));
    expect(core.stats("second").state).toBe("active");
  });

  it("when the function was loaded and could not take over", async () => {
    await using core = await Core.temporary({ ownHostsMax: 2 });
    vi.spyOn(core.journal, "cursor").mockRejectedValueOnce(new Error("Corruption: block checksum mismatch"));
    await expect(core.deploy(alone("first"))).rejects.toThrow("checksum");
    await core.deploy(alone("second"));
    expect(core.stats("second").state).toBe("active");
  });
});
