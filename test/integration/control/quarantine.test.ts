import { describe, expect, it } from "vitest";
import { controlApi, type FunctionInfo } from "../../../src/core/control-api.ts";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";
import { cli } from "../cli-tools/support.ts";

const CRASH = "'x'.repeat(2 ** 29 - 24).split('');";
const patiently = { interval: 20 };

const find = (all: readonly FunctionInfo[]): FunctionInfo | undefined => all.find(({ name }) => name === "killer");

describe("a function that keeps killing its host", () => {
  it(
    "is seen as quarantined in the control plane, with the reason, and as active when it has done its time",
    { timeout: 120_000 },
    async () => {
      const killer = functionOf({
        name: "killer",
        triggers: ["bad"],
        limits: { cpuMs: 5_000 },
        retry: { attempts: 4, minMs: 0, maxMs: 1 },
        handler: `if (event.data === 'bad') { ${CRASH} }`,
      });
      await using site = await Site.open(killer, functionOf({ name: "other", triggers: ["good"], handler: "" }));
      const get = async (path: string): Promise<unknown> => (await fetch(`${site.control}/v1/${path}`)).json();
      const counts = async (): Promise<unknown> => find(controlApi.functions.parse(await get("functions")))?.gateways;
      await eventually(async () => expect(await counts()).toEqual({ active: 1, failed: 0, quarantined: 0 }), patiently);

      await site.send("bad", '"bad"');
      await eventually(async () => expect(await counts()).toEqual({ active: 0, failed: 0, quarantined: 1 }), patiently);
      const [gateway] = controlApi.gateways.parse(await get("gateways"));
      expect(gateway?.functions).toContainEqual(
        expect.objectContaining({ name: "killer", state: "quarantined", error: expect.stringMatching(/^(HOST_CRASHED|LIMIT_CPU): ./) }),
      );
      expect(gateway?.functions).toContainEqual(expect.objectContaining({ name: "other", state: "active" }));
      const listed = (await cli("functions", "--control", site.control)).stdout.split("\n");
      expect(listed.find((line) => line.startsWith("killer"))).toMatch(/ 0 +0 +1 +bad$/);
      expect((await cli("gateways", "--control", site.control)).stdout).toMatch(/g: killer v1 is quarantined: (HOST_CRASHED|LIMIT_CPU): ./);

      await Promise.all([site.send("bad", '"harmless"'), site.send("good", "1")]);
      await Promise.all([site.handled("other", 1), site.handled("killer", 1)]);
      await eventually(async () => expect(await counts()).toEqual({ active: 1, failed: 0, quarantined: 0 }), patiently);
      expect((await cli("gateways", "--control", site.control)).stdout).not.toContain("quarantined");
      expect(site.stats("killer")).toMatchObject({ state: "active", deadLettered: 1, handled: 1 });
    },
  );
});
