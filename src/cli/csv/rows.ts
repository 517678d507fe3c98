import type { ReadStream } from "node:fs";
import { CsvError, Parser } from "csv-parse";
import { MillraceError } from "../../core/errors.ts";
import { openInput, unreadable } from "../../core/input-file.ts";

/** Also the bound on what an unclosed quote can make the parser hold. */
const ROW_BYTES_MAX = 1024 * 1024;
const READ_BYTES = 64 * 1024;

export interface CsvRow {
  /** Line of the file on which the row starts, from 1. */
  readonly line: number;
  /** As many as there are columns. */
  readonly cells: readonly string[];
}

export interface CsvFile {
  readonly file: string;
  readonly columns: readonly string[];
  /** Share of the file that has been read, 0 to 1; undefined when its size is not known, as with a pipe. */
  progress(): number | undefined;
  /** The rows below the header, in order, read as they are asked for. Can be walked once. */
  rows(): AsyncGenerator<CsvRow, void, void>;
  /** Ends reading; walking to the end does so too. */
  close(): void;
}

/**
 * Opens a file of comma-separated values (RFC 4180; a byte-order mark, blank lines and either line ending are taken) and reads its header.
 * Rows are parsed while they are walked, so a file may be larger than memory.
 * @throws MillraceError FILE_UNREADABLE, CSV_INVALID naming file and line; `rows` throws the same.
 */
export async function openCsv(file: string, delimiter = ","): Promise<CsvFile> {
  const position = { bytes: 0 };
  const { handle, bytes } = await openInput(file);
  const stream = handle.createReadStream({ highWaterMark: READ_BYTES });
  try {
    const all = parseRows(stream, { file, delimiter, position });
    const first = await all.next();
    if (first.done === true) throw new MillraceError("CSV_INVALID", `${file}: the file is empty; its first line has to name the columns`);
    const columns = checkHeader(file, first.value);
    return {
      file,
      columns,
      progress: () => (bytes > 0 ? Math.min(1, position.bytes / bytes) : undefined),
      rows: () => checkRows(all, file, columns.length),
      close: () => void stream.destroy(),
    };
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

interface ParseOptions {
  readonly file: string;
  readonly delimiter: string;
  readonly position: { bytes: number };
}

/** Rows that were complete before an error are still handed out first. */
async function* parseRows(stream: ReadStream, options: ParseOptions): AsyncGenerator<CsvRow, void, void> {
  const source = new RowParser(options.delimiter);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const failure = await source.write(chunk);
      options.position.bytes += chunk.length;
      yield* source.take();
      if (failure !== undefined) throw explain(options.file, failure, source.lastLine);
    }
  } catch (error) {
    throw error instanceof MillraceError ? error : unreadable(options.file, error);
  }
  const failure = await source.end();
  yield* source.take();
  if (failure !== undefined) throw explain(options.file, failure, source.lastLine);
}

/** csv-parse driven chunk by chunk, which keeps back-pressure simple and gives each row the line on which it starts. */
class RowParser {
  readonly #parser: Parser;
  #rows: CsvRow[] = [];
  /** csv-parse counts a CRLF inside quotes as two lines. */
  #overcounted = 0;
  /** Where the last complete row ended. */
  lastLine = 0;

  constructor(delimiter: string) {
    this.#parser = new Parser({
      bom: true,
      delimiter,
      trim: true,
      skip_empty_lines: true,
      relax_column_count: true,
      max_record_size: ROW_BYTES_MAX,
      record_delimiter: ["\r\n", "\n", "\r"],
      on_record: (cells: string[], info: { lines: number }) => this.#add(cells, info.lines),
    });
    // Each error also reaches the callback of the write that met it, and is thrown from there.
    this.#parser.on("error", () => {});
    this.#parser.resume();
  }

  #add(cells: string[], lines: number): null {
    let breaks = 0;
    for (const cell of cells) {
      if (!cell.includes("\n") && !cell.includes("\r")) continue;
      breaks += cell.split(/\r\n|\n|\r/).length - 1;
      this.#overcounted += cell.split("\r\n").length - 1;
    }
    this.lastLine = lines - this.#overcounted;
    this.#rows.push({ line: this.lastLine - breaks, cells });
    return null;
  }

  write(chunk: Buffer): Promise<Error | undefined> {
    return new Promise((resolve) => this.#parser.write(chunk, (error) => resolve(error ?? undefined)));
  }

  end(): Promise<Error | undefined> {
    return new Promise((resolve) => {
      this.#parser.once("error", resolve);
      this.#parser.once("end", () => resolve(undefined));
      this.#parser.end();
    });
  }

  take(): readonly CsvRow[] {
    const rows = this.#rows;
    this.#rows = [];
    return rows;
  }
}

const REASONS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: "a quote that is opened in this row is never closed",
  CSV_MAX_RECORD_SIZE: "the row that starts here is longer than 1MB; is a quote not closed, or the delimiter another one?",
  CSV_INVALID_CLOSING_QUOTE: "text follows a closing quote; a quote inside a quoted field is written twice",
  CSV_NON_TRIMABLE_CHAR_AFTER_CLOSING_QUOTE: "text follows a closing quote; a quote inside a quoted field is written twice",
  INVALID_OPENING_QUOTE: "a quote in the middle of a field; put the whole field in quotes and write the inner quote twice",
};

function explain(file: string, error: Error, lastLine: number): MillraceError {
  const reason = (error instanceof CsvError ? REASONS[error.code] : undefined) ?? error.message;
  return new MillraceError("CSV_INVALID", `${file}:${lastLine + 1}: ${reason}`, { cause: error });
}

function checkHeader(file: string, header: CsvRow): readonly string[] {
  const fail = (reason: string): MillraceError => new MillraceError("CSV_INVALID", `${file}:${header.line}: ${reason}`);
  const seen = new Set<string>();
  for (const [index, name] of header.cells.entries()) {
    if (name === "") throw fail(`column ${index + 1} of the header has no name`);
    if (seen.has(name)) throw fail(`two columns are named "${name}"`);
    seen.add(name);
  }
  if (header.cells.every((name) => Number.isFinite(Number(name)))) {
    throw fail("the first line holds only numbers; it has to name the columns");
  }
  return header.cells;
}

async function* checkRows(all: AsyncGenerator<CsvRow, void, void>, file: string, width: number): AsyncGenerator<CsvRow, void, void> {
  for await (const row of all) {
    const { length } = row.cells;
    if (length !== width) {
      const fields = length === 1 ? "1 field" : `${length} fields`;
      throw new MillraceError("CSV_INVALID", `${file}:${row.line}: ${fields}, but the header names ${width} columns`);
    }
    yield row;
  }
}
