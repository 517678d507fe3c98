import type { Bundle } from "../core/bundle.ts";
import { MillraceError } from "../core/errors.ts";
import { readSourceMap, type SourceMap } from "../core/source-map.ts";
import { scriptUrl } from "./inspection.ts";

/** Maps that are kept; each may take some megabytes. */
const MAPS_MAX = 16;
/** Frames in one text. V8 writes ten; the text is a guest's to choose. */
const FRAMES_MAX = 50;

/** The source maps of the functions that failed last. */
export class SourceMaps {
  readonly #maps = new Map<Bundle, SourceMap | undefined>();

  of(bundle: Bundle): SourceMap | undefined {
    const known = this.#maps.get(bundle);
    const map = known ?? (this.#maps.has(bundle) ? undefined : mapOf(bundle));
    this.#maps.delete(bundle);
    this.#maps.set(bundle, map);
    const [oldest] = this.#maps.keys();
    if (this.#maps.size > MAPS_MAX && oldest !== undefined) this.#maps.delete(oldest);
    return map;
  }
}

function mapOf({ sourceMap, manifest }: Bundle): SourceMap | undefined {
  try {
    return readSourceMap(sourceMap, manifest.name);
  } catch (error) {
    // Such a bundle cannot be published any more; one that was published before shows the places in its script.
    if (error instanceof MillraceError) return undefined;
    throw error;
  }
}

/** Where in the author's files errors of one version come from. */
export class Places {
  readonly #bundle: Bundle;
  readonly #maps: SourceMaps;
  /** A place in the script, as V8 writes it. */
  readonly #pattern: RegExp;

  constructor(bundle: Bundle, maps: SourceMaps) {
    this.#bundle = bundle;
    this.#maps = maps;
    const { name } = bundle.manifest;
    const script = `(?:${RegExp.escape(scriptUrl(name))}|${RegExp.escape(`${name}.js`)})`;
    this.#pattern = new RegExp(`(?<![\\w.-])${script}:(\\d{1,9}):(\\d{1,9})`, "g");
  }

  /** `text` with the frames of a stack in it as file, line and column of the author's; other text stays as it is. */
  inText(text: string): string {
    if (!text.includes("\n") || !text.includes(`${this.#bundle.manifest.name}.js:`)) return text;
    const map = this.#maps.of(this.#bundle);
    if (map === undefined) return text;
    let left = FRAMES_MAX;
    return text.replace(this.#pattern, (place, line: string, column: string) =>
      left-- > 0 ? (original(map, Number(line), Number(column)) ?? place) : place,
    );
  }

  /** The place of the topmost frame that is the author's, such as `lib/convert.ts:12:8`. Undefined when it is not known. */
  first(stack: string): string | undefined {
    const frame = stack.split("\n", FRAMES_MAX).find((line) => /^\s+at /.test(line) && line.search(this.#pattern) >= 0);
    const placed = frame === undefined ? undefined : this.inText(`\n${frame}`);
    return placed === undefined || placed.endsWith(frame ?? "") ? undefined : placeAtEnd(placed);
  }
}

function original(map: SourceMap, line: number, column: number): string | undefined {
  const found = map.original(line, column);
  return found === undefined ? undefined : `${found.source}:${found.line}:${found.column}`;
}

/** Of a frame, `file:line:column` or the same in brackets. */
function placeAtEnd(frame: string): string | undefined {
  const last = frame.replace(/\)$/, "").split(/[\s(]/).at(-1) ?? "";
  return /.:\d+:\d+$/.test(last) ? last : undefined;
}

/**
 * `redact` takes out of a text what must not be kept.
 * @throws What `loading` does; when that is what the author's code threw, with the places in it as the author knows them.
 */
export async function withPlaces<T>(loading: Promise<T>, places: Places, redact: (text: string) => string): Promise<T> {
  try {
    return await loading;
  } catch (cause) {
    if (!(cause instanceof MillraceError) || cause.code !== "FUNCTION_LOAD_FAILED") throw cause;
    // oxlint-disable-next-line eslint/preserve-caught-error -- Its message may hold a secret.
    throw new MillraceError(cause.code, places.inText(redact(cause.message)));
  }
}
