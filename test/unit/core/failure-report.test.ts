import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { REPORT_PAYLOAD_BYTES_MAX, reportedPayload } from "../../../src/core/failure-report.ts";

describe("the payload in a report", () => {
  it("reads back as it was, whatever it is, up to the bound", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.string({ unit: "grapheme" }).map((text) => new TextEncoder().encode(text)),
        ),
        (bytes) => {
          const { payload, encoding, payloadBytes } = reportedPayload(bytes);
          expect([...Buffer.from(payload, encoding)]).toEqual([...bytes]);
          expect(payloadBytes).toBe(bytes.length);
        },
      ),
    );
  });

  it("is cut between characters", () => {
    const text = "€".repeat(REPORT_PAYLOAD_BYTES_MAX / 2);
    const { payload, encoding, payloadBytes } = reportedPayload(Buffer.from(text));
    expect(encoding).toBe("utf8");
    expect(payload).toBe("€".repeat(Math.floor(REPORT_PAYLOAD_BYTES_MAX / 3)));
    expect(payloadBytes).toBe(text.length * 3);
    const bytes = Buffer.alloc(REPORT_PAYLOAD_BYTES_MAX + 1, 0xff);
    expect(Buffer.from(reportedPayload(bytes).payload, "base64")).toHaveLength(REPORT_PAYLOAD_BYTES_MAX);
  });
});
