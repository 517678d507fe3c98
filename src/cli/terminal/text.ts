/** Back to the start of the line, and the line empty. */
export const clearLine = "\r\u001b[2K";

/** A number for people: whole, with thousands separated. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}

/** Rows of cells under a header as aligned columns; `right` names the columns that hold numbers. */
export function table(header: readonly string[], rows: readonly (readonly string[])[], right: readonly string[] = []): string {
  const widths = header.map((name, index) => Math.max(name.length, ...rows.map((row) => (row[index] ?? "").length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return right.includes(header[index] ?? "") ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [header.map((name) => name.toUpperCase()), ...rows].map((cells) => `${line(cells)}\n`).join("");
}

/** `text` in at most `width` characters, the end replaced by an ellipsis when there is more. */
export function clip(text: string, width: number): string {
  if (text.length <= width) return text;
  return width < 1 ? "" : `${text.slice(0, width - 1)}…`;
}

/** One line of printable text: control characters, which could drive the terminal, become spaces. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, " ");
}

/** Enough of a digest to tell versions apart. */
export function shortDigest(digest: string): string {
  return digest.slice(0, 12);
}

/** What was logged, as one text. */
export function withFields(message: string, fields: Readonly<Record<string, unknown>> | undefined): string {
  return fields === undefined ? message : `${message} ${JSON.stringify(fields)}`;
}
