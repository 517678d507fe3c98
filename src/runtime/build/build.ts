import { readFile, realpath, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { rolldown, type OutputAsset, type OutputChunk, type RolldownLog } from "rolldown";
import type { Bundle } from "../../core/bundle.ts";
import { MillraceError } from "../../core/errors.ts";
import { buildError, fromLog, type Diagnostic } from "./diagnostics.ts";
import type { Wanted } from "./definition.ts";
import { inspectModules } from "./inspect.ts";
import { parseManifestFile, type ParsedManifest } from "./manifest-file.ts";
import { webGlobals } from "./globals.ts";
import { PART, sdkPlugin } from "./sdk-plugin.ts";

export const MANIFEST_FILE = "function.yaml";

/**
 * Makes the bundle of the function in `directory`: its manifest and its entry with everything that it imports, as one classic script.
 * The same files give the same bundle in any folder of any machine. No code of the function is run.
 * @throws MillraceError FILE_UNREADABLE, MANIFEST_INVALID or BUILD_FAILED, with every mistake that was found.
 */
export async function buildFunction(directory: string): Promise<Bundle> {
  // Paths in the output are relative to the folder, and the bundler resolves links, so the folder itself must not be one.
  const folder = await existingFolder(directory);
  const { manifest, entry } = await readManifest(folder, directory);
  const input = join(folder, entry);
  await existingEntry(input, `${join(directory, MANIFEST_FILE)}: entry: "${entry}"`);
  const wanted: Wanted = { call: manifest.batch === undefined ? "handler" : "batch", stateVersion: manifest.state?.version ?? 1 };
  const { code, sourceMap } = await bundle({ input, wanted }, { folder, shown: directory });
  return { manifest, code, sourceMap };
}

async function existingFolder(directory: string): Promise<string> {
  try {
    const folder = await realpath(directory);
    if ((await stat(folder)).isDirectory()) return folder;
  } catch (cause) {
    throw new MillraceError("FILE_UNREADABLE", `there is no function folder "${directory}"`, { cause });
  }
  throw new MillraceError("FILE_UNREADABLE", `"${directory}" is not a folder; name the folder that holds ${MANIFEST_FILE}`);
}

async function readManifest(folder: string, shown: string): Promise<ParsedManifest> {
  const file = join(shown, MANIFEST_FILE);
  let text: string;
  try {
    text = await readFile(join(folder, MANIFEST_FILE), "utf8");
  } catch (cause) {
    throw new MillraceError("FILE_UNREADABLE", `"${shown}" holds no readable ${MANIFEST_FILE}, which makes a folder a function`, { cause });
  }
  return parseManifestFile(text, file);
}

async function existingEntry(input: string, named: string): Promise<void> {
  try {
    if ((await stat(input)).isFile()) return;
  } catch (cause) {
    throw new MillraceError("FILE_UNREADABLE", `${named} does not exist; create it or name another file`, { cause });
  }
  throw new MillraceError("FILE_UNREADABLE", `${named} is not a file`);
}

async function bundle(
  { input, wanted }: { input: string; wanted: Wanted },
  at: { folder: string; shown: string },
): Promise<{ code: string; sourceMap: string }> {
  const found: Diagnostic[] = [];
  try {
    await using build = await rolldown({
      input,
      cwd: at.folder,
      platform: "neutral",
      // A tsconfig.json somewhere above the folder would make the result depend on the machine.
      tsconfig: false,
      resolve: { mainFields: ["module", "main"], conditionNames: ["import", "default"] },
      transform: { target: "esnext", define: { "process.env.NODE_ENV": '"production"' }, inject: webGlobals(PART) },
      plugins: [sdkPlugin(), inspectModules({ entry: input, wanted }, (diagnostic) => found.push(diagnostic))],
      onLog: (_level, log) => collect(log, found),
    });
    const { output } = await build.generate({
      format: "iife",
      name: "__millrace",
      exports: "named",
      esModule: false,
      generatedCode: { symbols: false },
      codeSplitting: false,
      comments: { legal: true, annotation: false, jsdoc: false },
      sourcemap: "hidden",
      sourcemapExcludeSources: true,
      file: "function.js",
    });
    if (found.length === 0) return finished(output, input);
  } catch (cause) {
    throw buildError([...found, ...failuresOf(cause)], at, cause);
  }
  throw buildError(found, at);
}

/** What the bundler only warns of although the script could not run with it. */
const FATAL_WARNINGS: ReadonlySet<string> = new Set(["UNRESOLVED_IMPORT", "EMPTY_IMPORT_META"]);

function collect(log: RolldownLog, found: Diagnostic[]): void {
  const harmless = log.code === "EMPTY_IMPORT_META" && (log.id ?? log.loc?.file ?? "").includes("/node_modules/");
  if (FATAL_WARNINGS.has(log.code ?? "") && !harmless) found.push(fromLog(log));
}

/** The diagnostics of a failed build; anything else that was thrown is a bug and goes on as it is. */
function failuresOf(cause: unknown): Diagnostic[] {
  if (!(cause instanceof Error) || !("errors" in cause) || !Array.isArray(cause.errors)) throw cause;
  return (cause.errors as RolldownLog[]).map(fromLog);
}

function finished(output: readonly (OutputChunk | OutputAsset)[], input: string): { code: string; sourceMap: string } {
  const chunk = output.find((part): part is OutputChunk => part.type === "chunk");
  const leftOver = [...(chunk?.imports ?? []), ...(chunk?.dynamicImports ?? [])];
  const map = chunk?.map;
  if (chunk === undefined || map === null || map === undefined || leftOver.length > 0) {
    throw new Error(`bundling ${input} left more than one script: ${leftOver.join(", ")}`);
  }
  const absolute = map.sources.find((source) => isAbsolute(source));
  if (absolute !== undefined) throw new Error(`the source map of ${input} names an absolute path: ${absolute}`);
  return { code: chunk.code, sourceMap: map.toString() };
}
