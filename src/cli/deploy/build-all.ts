import { digestOf, encodeBundle } from "../../core/bundle.ts";
import { MillraceError } from "../../core/errors.ts";
import { buildFunction } from "../../runtime/build/build.ts";

/** A function that is ready to be published. */
export interface Built {
  readonly folder: string;
  readonly name: string;
  readonly digest: string;
  readonly bytes: Buffer<ArrayBuffer>;
}

/** @throws what `buildFunction` throws, BUNDLE_TOO_LARGE */
export async function buildForPublish(folder: string): Promise<Built> {
  const bundle = await buildFunction(folder);
  const bytes = Buffer.from(encodeBundle(bundle));
  return { folder, name: bundle.manifest.name, digest: digestOf(bytes), bytes };
}

/**
 * Builds every folder or none: one mistake anywhere and nothing is handed back.
 * @throws MillraceError with the problems of all folders that have one
 */
export async function buildAll(folders: readonly string[]): Promise<Built[]> {
  const built: Built[] = [];
  const problems: MillraceError[] = [];
  for (const folder of folders) {
    try {
      built.push(await buildForPublish(folder));
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      problems.push(error);
    }
  }
  const [first, ...others] = problems;
  if (first === undefined) return checkNames(built);
  if (others.length === 0) throw first;
  throw new MillraceError(
    first.code,
    problems.map(({ code, message }) => (code === first.code ? message : `${code}: ${message}`)).join("\n"),
  );
}

function checkNames(built: Built[]): Built[] {
  const folders = new Map<string, string>();
  for (const { name, folder } of built) {
    const other = folders.get(name);
    if (other !== undefined) throw new MillraceError("MANIFEST_INVALID", `${other} and ${folder} are both named "${name}"`);
    folders.set(name, folder);
  }
  return built;
}
