import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { DROP_REASONS } from "../../src/core/drops.ts";
import { GATEWAY_TABLE } from "../../src/core/gateway-config.ts";

const page = readFileSync(new URL("../../docs/delivery.md", import.meta.url), "utf8");
const quoted = [...page.matchAll(/`([^`\n]+)`/g)].map((match) => match[1] ?? "");

it("the page of delivery names tests that exist", () => {
  const named = quoted.filter((text) => /^(unit|integration|fault)\//.test(text));
  expect(named.length).toBeGreaterThan(20);
  const missing = named.filter((text) => ![`${text}.test.ts`, text].some((path) => existsSync(new URL(`../${path}`, import.meta.url))));
  expect(missing).toEqual([]);
});

it("and settings and reasons that there are", () => {
  const settings = quoted.filter((text) => /^(journal|mqtt|dead_letters|outbox)\.[a-z_]+$/.test(text));
  expect(settings.length).toBeGreaterThan(6);
  expect(settings.filter((name) => !Object.hasOwn(GATEWAY_TABLE, name) && name !== "outbox.rejected")).toEqual([]);
  expect(quoted.filter((text) => /^(journal|outbox|dead-letter|volatile|log|trace)-[a-z-]+$/.test(text)).toSorted()).toEqual(
    expect.arrayContaining([...DROP_REASONS].toSorted()),
  );
});
