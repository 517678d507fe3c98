import type { Files } from "./tree.ts";

/** Absolute paths of somebody's machine. */
const MACHINE_PATH = /(?<![\w.:/~-])\/(?:work|root|home|Users|tmp\/probe)(?=\/|\b(?![\w.-]))/g;

/** Places where a path of the machine it was written on was left behind. */
export function traceProblems(files: Files): string[] {
  return [...files].flatMap(([file, text]) =>
    text
      .split("\n")
      .flatMap((line, index) =>
        [...line.matchAll(MACHINE_PATH)].map((match) => `${file}:${index + 1}: names ${match[0]}, a path of one machine`),
      ),
  );
}
