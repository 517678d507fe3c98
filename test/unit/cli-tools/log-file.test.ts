import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { LogFile, readableLine } from "../../../src/cli/dev/log-file.ts";

const folder = mkdtempSync(join(tmpdir(), "millrace-log-"));
afterAll(() => rmSync(folder, { recursive: true }));

describe("log file", () => {
  it("hands out the last lines behind a position", () => {
    using log = new LogFile(join(folder, "logs", "a.log"));
    appendFileSync(log.path, "old\n");
    const start = log.size();
    expect(log.tail(3, start)).toEqual([]);
    appendFileSync(log.path, "one\ntwo\n\nthree\nfour\n");
    expect(log.tail(3, start)).toEqual(["two", "three", "four"]);
    expect(log.tail(10, start)).toEqual(["one", "two", "three", "four"]);
  });

  it("does not grow without end", () => {
    const path = join(folder, "b.log");
    writeFileSync(path, "x".repeat(11 * 1024 * 1024));
    using log = new LogFile(path);
    expect(log.size()).toBe(0);
    expect(statSync(`${path}.1`).size).toBe(11 * 1024 * 1024);
  });

  it("cannot be where nothing can be written", () => {
    writeFileSync(join(folder, "file"), "");
    expect(() => new LogFile(join(folder, "file", "c.log"))).toThrow(expect.objectContaining({ code: "DATA_UNWRITABLE" }));
  });
});

describe("a readable line", () => {
  it.each([
    ['{"level":30,"msg":"ready"}', undefined],
    ['{"level":40,"msg":"slow"}', "slow"],
    ['{"level":50,"msg":"upload failed","err":{"message":"no link"}}', "upload failed: no link"],
    ["    at handler (index.ts:3:9)", "    at handler (index.ts:3:9)"],
    ['{"error":{"code":"X"}}', '{"error":{"code":"X"}}'],
  ])("of %s is %s", (line, text) => {
    expect(readableLine(line)).toBe(text);
  });
});
