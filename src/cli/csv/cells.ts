const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
/** What people write and JSON does not know: `+1.5`, `.5`, `5.`. Never leading zeros: `007` is a name. */
const OTHER_NUMBER = /^[+-]?(?:(?:0|[1-9]\d*)\.?|(?:0|[1-9]\d*)?\.\d+)(?:[eE][+-]?\d+)?$/;

/** A cell as JSON text. A number keeps the digits that the file has, so nothing is rounded on the way. */
function cellJson(cell: string): string {
  if (cell === "") return "null";
  if (JSON_NUMBER.test(cell) && Number.isFinite(Number(cell))) return cell;
  if (OTHER_NUMBER.test(cell) && Number.isFinite(Number(cell))) return JSON.stringify(Number(cell));
  return JSON.stringify(cell);
}

function textJson(cell: string): string {
  return cell === "" ? "null" : JSON.stringify(cell);
}

export interface PayloadOptions {
  /** Columns that do not go into the payload. */
  readonly omit: ReadonlySet<string>;
  /** Leave every cell text, even one that looks like a number. */
  readonly strings: boolean;
}

/** Makes the function that writes a row as a JSON object, columns in the order of the file; empty cells become null. */
export function payloadWriter(columns: readonly string[], options: PayloadOptions): (cells: readonly string[]) => string {
  const write = options.strings ? textJson : cellJson;
  const fields = columns.flatMap((name, index) => (options.omit.has(name) ? [] : [{ index, label: `${JSON.stringify(name)}:` }]));
  return (cells) => {
    let text = "{";
    for (const { index, label } of fields) text += `${text.length > 1 ? "," : ""}${label}${write(cells[index] ?? "")}`;
    return `${text}}`;
  };
}
