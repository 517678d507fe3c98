import { describe, expect, it } from "vitest";
import { MillraceError } from "../../../src/core/errors.ts";
import { Failures } from "../../../src/sync/failures.ts";

const v1 = { name: "f", version: 1, digest: "a" };
const v2 = { name: "f", version: 2, digest: "b" };
const wrong = new MillraceError("DIGEST_MISMATCH", "not these bytes");

describe("failures of wanted versions", () => {
  it("waits longer with every try of the same version, and starts anew with another one", () => {
    const failures = new Failures((attempt) => attempt * 100);
    failures.record(v1, wrong);
    failures.record(v1, wrong);
    expect(failures.nextAt()).toBe(200);
    expect(failures.isWaiting(v1, 199)).toBe(true);
    expect(failures.isWaiting(v1, 200)).toBe(false);
    expect(failures.isWaiting(v2, 0)).toBe(false);
    failures.record(v2, wrong);
    expect(failures.nextAt()).toBe(100);
  });

  it("reports the version that runs and beside it the one that failed", () => {
    const failures = new Failures(() => 0);
    failures.record(v2, wrong);
    expect(failures.merge([{ ...v1, state: "active" }])).toEqual([
      { ...v1, state: "active" },
      { ...v2, state: "failed", error: "DIGEST_MISMATCH: not these bytes" },
    ]);
    failures.keepOnly([v1]);
    expect(failures.merge([{ ...v1, state: "active" }])).toEqual([{ ...v1, state: "active" }]);
  });

  it("lets only those be tried at once that failed for that reason", () => {
    const failures = new Failures(() => 500);
    failures.record(v1, new MillraceError("LINK_DOWN", "gone"));
    failures.record({ ...v2, name: "g" }, wrong);
    failures.forgive("LINK_DOWN");
    expect(failures.isWaiting(v1, 0)).toBe(false);
    expect(failures.isWaiting({ ...v2, name: "g" }, 0)).toBe(true);
  });
});
