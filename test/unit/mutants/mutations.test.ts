import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { mutated, MUTATIONS } from "../../mutants/mutations.ts";

const ROOT = new URL("../../../", import.meta.url);

it.each(MUTATIONS)("fits the source: $name", async (mutation) => {
  const source = await readFile(new URL(mutation.file, ROOT), "utf8");
  const changed = mutated(source, mutation);
  expect(changed).toBeDefined();
  expect(changed).not.toBe(source);
});
