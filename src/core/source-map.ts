import { SourceMap } from "node:module";
import { z } from "zod";
import { MillraceError, messageOf } from "./errors.ts";

/** A decoded map takes some thirty times as much memory as this. */
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
  names: z.array(z.string()).default([]),
  mappings: z
    .string()
    .max(MAPPINGS_MAX, `more than ${MAPPINGS_MAX} characters of mappings`)
    .regex(/^[A-Za-z0-9+/,;]*$/),
});

/**
 * Decodes the source map of a bundle (version 3). Undefined for the empty text of a bundle without one.
 * @throws MillraceError SOURCE_MAP_INVALID; a well-formed map that names wrong places cannot be told from a right one
 */
export function readSourceMap(text: string, name: string): SourceMap | undefined {
  if (text === "") return undefined;
  try {
    const { version, sources, names, mappings } = mapSchema.parse(JSON.parse(text));
    return new SourceMap({ file: "", version, sources, names, mappings, sourcesContent: [], sourceRoot: "" });
  } catch (cause) {
    const reason = cause instanceof z.ZodError ? z.prettifyError(cause).replaceAll("\n", " ") : messageOf(cause);
    throw new MillraceError("SOURCE_MAP_INVALID", `the source map of function "${name}" cannot be used: ${reason}`, { cause });
  }
}
