import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { payloadWriter } from "../../../src/cli/csv/cells.ts";
import { parseTime, timeReader } from "../../../src/cli/csv/recorded-time.ts";
import { type CsvRow, openCsv } from "../../../src/cli/csv/rows.ts";
import { compileTopic } from "../../../src/cli/csv/topic-template.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-csv-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function read(text: string | Buffer, delimiter?: string): Promise<{ columns: readonly string[]; rows: CsvRow[] }> {
  const file = join(folder, "data.csv");
  await writeFile(file, text);
  const csv = await openCsv(file, delimiter);
  const rows: CsvRow[] = [];
  for await (const row of csv.rows()) rows.push(row);
  return { columns: csv.columns, rows };
}

const failure = (code: string, message: RegExp): unknown => expect.objectContaining({ code, message: expect.stringMatching(message) });

const quote = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const source = (set: Record<string, string> = {}): Parameters<typeof compileTopic>[1] => ({
  file: "data.csv",
  columns: ["site", "device"],
  set: new Map(Object.entries(set)),
});
const rowOf = (site: string, device: string): CsvRow => ({ line: 7, cells: [site, device] });

describe("reading rows", () => {
  it("takes a byte-order mark, CRLF, quotes, blank lines and a last line without an end", async () => {
    const { columns, rows } = await read('\ufeffDate,"a ""b"""\r\n1,"x, y"\r\n\r\n2,""\r\n3,z');
    expect(columns).toEqual(["Date", 'a "b"']);
    expect(rows).toEqual([
      { line: 2, cells: ["1", "x, y"] },
      { line: 4, cells: ["2", ""] },
      { line: 5, cells: ["3", "z"] },
    ]);
  });

  it("knows the line on which a row starts, also after line breaks inside quotes", async () => {
    const lf = await read('a,b\n1,"x\ny\nz"\n2,3\n');
    const crlf = await read('a,b\r\n1,"x\r\ny\r\nz"\r\n2,3\r\n');
    expect(lf.rows.map((row) => row.line)).toEqual([2, 5]);
    expect(crlf.rows.map((row) => row.line)).toEqual([2, 5]);
  });

  it("reads another delimiter", async () => {
    expect((await read("a;b\n1,5;2\n", ";")).rows[0]?.cells).toEqual(["1,5", "2"]);
  });

  it.each([
    ["too few fields", "a,b\n1,2\n3\n", /data\.csv:3: 1 field, but the header names 2 columns/],
    ["too many fields", "a,b\n1,2,3\n", /data\.csv:2: 3 fields/],
    ["an unclosed quote", 'a,b\n1,2\n3,"4\n5,6\n', /data\.csv:3: a quote .* never closed/],
    ["an unclosed quote in a large file", `a,b\n1,2\n3,"4\n${"5,6\n".repeat(400_000)}`, /data\.csv:3: .* longer than 1MB/],
    ["text after a quote", 'a,b\n1,"2"x\n', /data\.csv:2: text follows a closing quote/],
    ["a quote within a field", 'a,b\n1,2"x\n', /data\.csv:2: a quote in the middle/],
    ["an empty file", "", /the file is empty/],
    ["no header", "1,2\n3,4\n", /data\.csv:1: the first line holds only numbers/],
    ["a nameless column", "a,,c\n", /data\.csv:1: column 2 of the header has no name/],
    ["a name given twice", "a,b,a\n", /data\.csv:1: two columns are named "a"/],
  ])("names file and line of %s", async (_what, text, message) => {
    await expect(read(text)).rejects.toEqual(failure("CSV_INVALID", message));
  });

  it("hands out the rows above a mistake before it throws", async () => {
    const file = join(folder, "late.csv");
    await writeFile(file, 'a,b\n1,2\n3,4\n5,"6');
    const csv = await openCsv(file);
    const cells: string[] = [];
    await expect(async () => {
      for await (const row of csv.rows()) cells.push(row.cells.join());
    }).rejects.toEqual(failure("CSV_INVALID", /late\.csv:4/));
    expect(cells).toEqual(["1,2", "3,4"]);
  });

  it("says what is wrong with a path", async () => {
    await expect(openCsv(join(folder, "none.csv"))).rejects.toEqual(failure("FILE_UNREADABLE", /there is no such file/));
    await expect(openCsv(folder)).rejects.toEqual(failure("FILE_UNREADABLE", /is a folder/));
  });

  it("gives back what was written, whatever the cells hold", async () => {
    const cell = fc.string({ unit: fc.constantFrom("a", "7", ",", '"', "\n", "\r\n", "ü", "€") }).filter((text) => text === text.trim());
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(cell, cell), { minLength: 1, maxLength: 20 }),
        fc.constantFrom("\n", "\r\n"),
        async (table, end) => {
          const text = ["x,y", ...table.map((cells) => cells.map(quote).join())].join(end);
          const { rows } = await read(text);
          expect(rows.map((row) => row.cells)).toEqual(table);
          const lines = text.split(/\r\n|\n/);
          for (const { line, cells } of rows) expect(lines[line - 1]).toContain(quote(cells[0] ?? "").split(/\r\n|\n/)[0]);
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe("cells as JSON", () => {
  const write = payloadWriter(["a"], { omit: new Set(), strings: false });

  it.each([
    ["2.6", '{"a":2.6}'],
    ["-200", '{"a":-200}'],
    ["74.93588199999998", '{"a":74.93588199999998}'],
    ["12345678901234567890", '{"a":12345678901234567890}'],
    ["1e3", '{"a":1e3}'],
    ["+1.5", '{"a":1.5}'],
    [".5", '{"a":0.5}'],
    ["5.", '{"a":5}'],
    ["", '{"a":null}'],
    ["007", '{"a":"007"}'],
    ["1e999", '{"a":"1e999"}'],
    ["NaN", '{"a":"NaN"}'],
    ["18:00:00", '{"a":"18:00:00"}'],
    ['say "x"', '{"a":"say \\"x\\""}'],
  ])("%j becomes %s", (cell, json) => {
    expect(write([cell])).toBe(json);
  });

  it("leaves text alone on request and omits key columns", () => {
    const strings = payloadWriter(["site", "v", "w"], { omit: new Set(["site"]), strings: true });
    expect(strings(["milan", "2.6", ""])).toBe('{"v":"2.6","w":null}');
  });

  it("is valid JSON with the value that the text has", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.double().map(String), fc.integer().map(String)), (cell) => {
        const { a } = JSON.parse(write([cell])) as { a: unknown };
        expect(a).toEqual(cell === "" ? null : typeof a === "number" ? Number(cell) : cell);
      }),
    );
  });
});

describe("topics", () => {
  it("fills names from columns and fixed values, which go first", () => {
    const template = compileTopic("sensors/{site}/x-{device}/raw", source({ site: "rome" }));
    expect(template.render(rowOf("milan", "aq1"))).toBe("sensors/rome/x-aq1/raw");
    expect(template.names).toEqual(["site", "device"]);
  });

  it.each([
    ["a/b", /data\.csv:7: column "device" cannot be part of a topic: "a\/b" contains "\/"/],
    ["a+", /contains "\+"/],
    ["#", /contains "#"/],
    ["", /it is empty/],
  ])("refuses the cell %j", (cell, message) => {
    const template = compileTopic("sensors/{device}", source());
    expect(() => template.render(rowOf("milan", cell))).toThrow(failure("CSV_INVALID", message));
  });

  it.each([
    ["sensors/{devise}", {}, "CSV_INVALID", /data\.csv:1: .*\{devise\}.*did you mean "device"/],
    ["sensors/{device}", { devise: "x" }, "USAGE", /no \{devise\}; did you mean "device"/],
    ["sensors/{device}", { device: "a/b" }, "USAGE", /contains "\/"/],
    ["sensors/{device", {}, "USAGE", /has no partner/],
    ["sensors/{}", {}, "USAGE", /names no column/],
    ["sensors/+/{device}", {}, "USAGE", /wildcard/],
    ["", {}, "USAGE", /empty/],
  ])("refuses the template %j with %j", (template, set, code, message) => {
    expect(() => compileTopic(template, source(set as Record<string, string>))).toThrow(failure(code, message));
  });
});

describe("recorded times", () => {
  it.each([
    ["2004-03-10 18:00:00", Date.UTC(2004, 2, 10, 18)],
    ["2004-03-10T18:00:00Z", Date.UTC(2004, 2, 10, 18)],
    ["2004-03-10 18:00:00.250 +01:00", Date.UTC(2004, 2, 10, 17, 0, 0, 250)],
    ["2004-03-10T18:00-0530", Date.UTC(2004, 2, 10, 23, 30)],
    ["2004-03-11 0:00:00", Date.UTC(2004, 2, 11)],
    ["2004-03-10", Date.UTC(2004, 2, 10)],
    ["1078941600", 1_078_941_600_000],
    ["1078941600.5", 1_078_941_600_500],
    ["1078941600123", 1_078_941_600_123],
  ])("%s", (text, ms) => {
    expect(parseTime(text)).toBe(ms);
  });

  it.each(["", "yesterday", "2004-02-30 10:00:00", "2004-13-01", "2004-03-10 24:00:00", "10/03/2004 18:00", "12"])("%j is none", (text) => {
    expect(parseTime(text)).toBeUndefined();
  });

  it("joins columns and names the line of what it cannot read", () => {
    const timeOf = timeReader("data.csv", ["Date", "Time"], ["Date", "Time"]);
    expect(timeOf({ line: 2, cells: ["2004-03-10", "18:00:00"] })).toBe(Date.UTC(2004, 2, 10, 18));
    expect(() => timeOf({ line: 9, cells: ["2004-03-10", "soon"] })).toThrow(failure("CSV_INVALID", /data\.csv:9: "2004-03-10 soon"/));
    expect(() => timeReader("data.csv", ["Date", "Time"], ["Tme"])).toThrow(failure("CSV_INVALID", /data\.csv:1: .*"Time"/));
  });
});
