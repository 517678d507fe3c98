import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, it } from "vitest";
import { loadAll } from "../../src/cli/program.ts";
import { CONTROL_TABLE } from "../../src/core/control-config.ts";
import { GATEWAY_TABLE } from "../../src/core/gateway-config.ts";
import { cliPage, configurationPage, errorsPage, metricsPage } from "../support/reference.ts";

const PAGES: Readonly<Record<string, () => string | Promise<string>>> = {
  "configuration.md": () =>
    configurationPage([
      { title: "Gateway", command: "millrace gateway --config gateway.yaml", table: GATEWAY_TABLE },
      { title: "Control plane", command: "millrace control --config control.yaml", table: CONTROL_TABLE },
    ]),
  "cli.md": async () => cliPage(await loadAll()),
  "errors.md": errorsPage,
  "metrics.md": metricsPage,
};

// `UPDATE_DOCS=1 npm test` writes the pages instead of comparing them.
describe("docs/reference is what the tables say", () => {
  it.each(Object.keys(PAGES))("%s", async (name) => {
    const file = new URL(`../../docs/reference/${name}`, import.meta.url).pathname;
    const expected = await PAGES[name]?.();
    if (expected === undefined) throw new Error(`no page ${name}`);
    if (process.env["UPDATE_DOCS"] === "1") {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, expected);
    }
    expect(readFileSync(file, "utf8")).toBe(expected);
  });
});
