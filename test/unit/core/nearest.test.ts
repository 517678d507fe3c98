import { describe, expect, it } from "vitest";
import { nearest, suggestion } from "../../../src/core/nearest.ts";

describe("the nearest known name", () => {
  it("is found for a slip of the finger and not for another word", () => {
    expect(nearest("prot", ["port", "host"])).toBe("port");
    expect(nearest("concurency", ["concurrency", "currency"])).toBe("concurrency");
    expect(nearest("banana", ["port", "host"])).toBeUndefined();
    expect(nearest("x", [])).toBeUndefined();
  });

  it("is suggested; else what is valid is listed, if that is short", () => {
    expect(suggestion("prot", ["port", "host"])).toBe('; did you mean "port"?');
    expect(suggestion("banana", ["port", "host"])).toBe("; valid here: port, host");
    expect(
      suggestion(
        "banana",
        Array.from({ length: 13 }, (_, i) => `${"long".repeat(5)}${i}`),
      ),
    ).toBe("");
    expect(suggestion("banana", [])).toBe("");
  });
});
