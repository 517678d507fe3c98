import { array, assert, property, string } from "fast-check";
import { describe, expect, it } from "vitest";
import { Redactor } from "../../../src/runtime/secrets/redactor.ts";

function knowing(...values: readonly string[]): Redactor {
  const redactor = new Redactor();
  values.forEach((value, index) => redactor.know(`S${index}`, value));
  return redactor;
}

const KEY = 'p"a/ss+w=ö\nrd-1234';

describe("secrets in what a function says", () => {
  it.each([
    ["as it is", KEY],
    ["in JSON", JSON.stringify({ deep: [KEY] })],
    ["in a URL", `https://a.example.com/?key=${encodeURIComponent(KEY)}`],
    ["as Base64", Buffer.from(KEY).toString("base64")],
    ["as Base64 for URLs", Buffer.from(KEY).toString("base64url")],
  ])("are taken out %s", (_, text) => {
    const shown = knowing(KEY).redact(`before ${text} after ${text}`);
    expect(shown).toContain("[secret S0]");
    expect(shown).toMatch(/^before .* after /s);
    for (const form of [KEY, JSON.stringify(KEY).slice(1, -1), encodeURIComponent(KEY), Buffer.from(KEY).toString("base64")]) {
      expect(shown).not.toContain(form);
    }
  });

  it("are taken out where the text was cut off in the middle of one", () => {
    const secret = "0123456789abcdef".repeat(4);
    const cut = "x".repeat(3_960) + secret.slice(0, 40);
    expect(knowing(secret).redact(cut)).toBe(`${"x".repeat(3_960)}[secret S0]`);
    const marked = `${"x".repeat(8_000)}${secret.slice(0, 30)} … (LIMIT_LOG: 34 more characters are left out)`;
    expect(knowing(secret).redact(marked)).toBe(`${"x".repeat(8_000)}[secret S0] … (LIMIT_LOG: 34 more characters are left out)`);
  });

  it("also when one is the beginning of another, and when a value was replaced", () => {
    const redactor = knowing("abcdefgh", "abcdefgh-longer");
    expect(redactor.redact("abcdefgh-longer abcdefgh")).toBe("[secret S1] [secret S0]");
    redactor.know("S0", "another-value");
    expect(redactor.redact("abcdefgh another-value")).toBe("[secret S0] [secret S0]");
  });

  it("leave everything else as it is", () => {
    expect(new Redactor().redact("anything")).toBe("anything");
    assert(
      property(
        string({ maxLength: 100 }),
        array(string({ minLength: 8, maxLength: 20, unit: "binary" }), { maxLength: 5 }),
        (text, values) => {
          const shown = knowing(...values).redact(text);
          expect(values.some((value) => text.includes(value)) || shown.includes("[secret ") || shown === text).toBe(true);
          expect(values.some((value) => shown.replaceAll(/\[secret S\d\]/g, "\0\0\0").includes(value))).toBe(false);
        },
      ),
    );
  });
});
