import { writeFile } from "node:fs/promises";
import { buildFunction } from "../../src/runtime/build/build.ts";
import { TempFolder } from "../support/temp-folder.ts";

const MANIFEST = "name: built\napi: 1\ntriggers:\n  - mqtt: built\n";

/** The script that `millrace build` makes of a function with this body of its handler. */
export async function builtCode({ prelude, handler }: { readonly prelude: string; readonly handler: string }): Promise<string> {
  await using folder = await TempFolder.make();
  const text = `import { defineFunction } from "millrace";
import * as std from "millrace/std";
${prelude}
export default defineFunction({ async handler(event, ctx) { ${handler}
} });
`;
  await writeFile(folder.join("function.yaml"), MANIFEST);
  await writeFile(folder.join("index.ts"), text);
  return (await buildFunction(folder.path)).code;
}
