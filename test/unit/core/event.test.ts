import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eventId, parseEventId } from "../../../src/core/event.ts";

describe("the id of an event", () => {
  it("depends on what caused the event and on nothing else", () => {
    expect(eventId("milan-1", 42, "celsius", 0)).toBe("milan-1:42:celsius:0");
  });

  it("can be taken apart again by whoever knows gateway and function", () => {
    expect(parseEventId("milan-1", { id: "milan-1:42:celsius:3", function: "celsius" })).toEqual({ seq: 42, index: 3 });
    expect(parseEventId("milan-1", { id: "milan-1:42:celsius:3", function: "other" })).toBeUndefined();
    expect(parseEventId("milan", { id: "milan-1:42:celsius:3", function: "celsius" })).toBeUndefined();
    expect(parseEventId("milan-1", { id: "milan-1:042:celsius:3", function: "celsius" })).toBeUndefined();
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
