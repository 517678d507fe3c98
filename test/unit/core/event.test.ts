import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eventId } from "../../../src/core/event.ts";

describe("the id of an event", () => {
  it("depends on what caused the event and on nothing else", () => {
    expect(eventId("milan-1", 42, "celsius", 0)).toBe("milan-1:42:celsius:0");
  });

  it("differs for different causes, as gateway and function names hold no colon", () => {
    const name = fc.stringMatching(/^[a-z0-9-]{1,8}$/);
    const cause = fc.tuple(name, fc.nat(200), name, fc.nat(200));
    fc.assert(
      fc.property(cause, cause, (a, b) => {
        expect(eventId(...a) === eventId(...b)).toBe(JSON.stringify(a) === JSON.stringify(b));
      }),
    );
  });
});
