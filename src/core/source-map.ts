import { z } from "zod";
import { MillraceError, messageOf } from "./errors.ts";
import { type Mapping, Mappings } from "./source-mappings.ts";

const MAPPINGS_MAX = 1024 * 1024;

const mapSchema = z.object({
  version: z.literal(3),
  sourceRoot: z.literal("").optional(),
  // Names as a person sees them in an error: no control characters, no path of some machine.
  sources: z
    .array(
      z
        .string()
        .max(1_024)
        .regex(/^(?!\/)(?![a-zA-Z]:)[^\p{Cc}]*$/u),
    )
    .max(10_000),
  mappings: z.string().max(MAPPINGS_MAX, `more than ${MAPPINGS_MAX} characters of mappings`),
});

/** A place in an author's file; lines and columns begin with 1. */
interface OriginalPlace {
  readonly source: string;
  readonly line: number;
  readonly column: number;
}

/** The source map of a bundle. */
export class SourceMap {
  readonly #sources: readonly string[];
  readonly #mappings: Mappings;

  /** @throws RangeError when the mappings are not laid out as the format says */
  constructor(sources: readonly string[], mappings: string) {
    this.#sources = sources;
    this.#mappings = new Mappings(mappings, sources.length);
  }

  /** Where a place of the script comes from; undefined when the map does not say. Lines and columns begin with 1. */
  original(line: number, column: number): OriginalPlace | undefined {
    const found: Mapping | undefined = this.#mappings.find(line - 1, column - 1);
    const source = found === undefined ? undefined : this.#sources[found.source];
    return found === undefined || source === undefined ? undefined : { source, line: found.line + 1, column: found.column + 1 };
  }
}

/**
 * Reads the source map of a bundle (version 3). Undefined for the empty text of a bundle without one.
 * @throws MillraceError SOURCE_MAP_INVALID; a well-formed map that names wrong places cannot be told from a right one
 */
export function readSourceMap(text: string, name: string): SourceMap | undefined {
  if (text === "") return undefined;
  try {
    const { sources, mappings } = mapSchema.parse(JSON.parse(text));
    return new SourceMap(sources, mappings);
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll("\n", " ") : messageOf(cause);
    throw new MillraceError("SOURCE_MAP_INVALID", `the source map of function "${name}" cannot be used: ${reason}`, { cause });
  }
}
