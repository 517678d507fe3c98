import { describe, expect, it } from "vitest";
import { parseManifest } from "../../../src/runtime/build/manifest-file.ts";

describe("a manifest with batch", () => {
  const base = "name: f\napi: 1\nbatch: {size: 10}\ntriggers:\n";

  it("has no request that waits for an answer", () => {
    expect(() => parseManifest(`${base}  - http: POST /a\n`, "function.yaml")).toThrow(
      'function.yaml:5: triggers[0].http: with batch no request can be answered; write "answer: accepted" beside "http: POST /a", or leave batch out',
    );
    expect(parseManifest(`${base}  - {http: POST /a, answer: accepted}\n`, "function.yaml").batch).toEqual({ size: 10, windowMs: 20 });
  });
});
