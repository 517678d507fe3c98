import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { cli, startBroker } from "./support.ts";

const guide = await readFile(new URL("../../../docs/guide/replay.md", import.meta.url), "utf8");
const blocks = (language: string): string[] =>
  [...guide.matchAll(/```(\w+)\n(.*?)```/gs)].flatMap((block) => (block[1] === language ? [block[2] ?? ""] : []));

function stable(text: string): string {
  return text.replace(/"seconds":[\d.]+,"rate":[\d.]+/, '"seconds":S,"rate":R');
}

/** The words of a command line as a shell would take them. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((word) => word[1] ?? word[2] ?? "");
}

it("every command of the replay guide prints what the guide says", async () => {
  const folder = await mkdtemp(join(tmpdir(), "millrace-guide-"));
  await using broker = await startBroker();
  const [table = ""] = blocks("csv");
  await writeFile(join(folder, "fleet.csv"), table);
  const [recording = ""] = blocks("jsonl");
  await writeFile(join(folder, "morning.jsonl"), recording);
  await writeFile(join(folder, "broken.csv"), table.replace(/t7(?=.*18,)/, "t/7"));
  const commands = blocks("console");
  expect(commands.length).toBeGreaterThanOrEqual(3);
  for (const block of commands) {
    const [command = "", ...expected] = block.trimEnd().split("\n");
    const [, program, verb, file = "", ...rest] = wordsOf(command);
    expect([program, verb]).toEqual(["millrace", "replay"]);
    const { stdout, stderr } = await cli(
      "replay",
      join(folder, file),
      ...rest,
      ...(rest.includes("--function") ? [] : ["--broker", broker.url]),
    );
    const printed = (stdout + stderr).replaceAll(`${folder}/`, "").trimEnd();
    expect(stable(printed)).toBe(stable(expected.join("\n")));
  }
  await rm(folder, { recursive: true });
});
