import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { functionOf } from "../../support/functions.ts";
import { Site } from "../../support/site.ts";

const RULES = `
rules:
  - name: fans are not for functions
    who: {function: fan}
    deny: {publish: cmd/+/fan, retain: "kept/#"}
  - who: {anonymous: true}
    allow: {publish: "#", subscribe: "#", retain: "#"}
`;

interface Letter {
  readonly code: string;
  readonly error: string;
}

async function setRules(site: Site, text: string): Promise<void> {
  await writeFile(join(site.folder, "gateway", "access.yaml"), text, { mode: 0o600 });
  site.gateway.reload();
}

async function lettersOf(site: Site, name: string): Promise<readonly Letter[]> {
  const answer = await fetch(`${site.http}/v1/dead-letters?function=${name}`);
  return (await answer.json()) as readonly Letter[];
}

describe("the access rules of a gateway, for what functions publish", () => {
  it("refuse what a rule about the function denies, as its manifest would, and let through the rest", async () => {
    const fan = functionOf({
      name: "fan",
      triggers: ["in/#"],
      publish: ["cmd/#", "kept/#"],
      handler: `ctx.publish(event.data.topic, 'on', { retain: event.data.retain });`,
    });
    const other = functionOf({ name: "other", triggers: ["in2/#"], handler: `ctx.publish(event.data.topic, 'on');` });
    await using site = await Site.open(fan, other);
    await setRules(site, RULES);
    const heard: string[] = [];
    const client = await site.client({ clientId: "watch" });
    client.on("message", (topic) => heard.push(topic));
    await client.subscribeAsync(["cmd/#", "kept/#"]);
    const say = (topic: string, retain = false, to = "in/a"): Promise<void> => site.send(to, JSON.stringify({ topic, retain }));
    await say("cmd/7/fan");
    await say("cmd/7/light");
    await say("kept/a", true);
    await say("kept/b", false);
    await say("cmd/8/fan", false, "in2/a");
    await eventually(() => expect(heard.toSorted()).toEqual(["cmd/7/light", "cmd/8/fan", "kept/b"]));
    const by = 'is not allowed by the access rules of the gateway: rule "fans are not for functions", ';
    expect((await lettersOf(site, "fan")).toSorted((a, b) => (a.error < b.error ? -1 : 1))).toMatchObject([
      { code: "PERMISSION_DENIED", error: expect.stringContaining(`publishing to "cmd/7/fan" ${by}`) },
      { code: "PERMISSION_DENIED", error: expect.stringContaining(`publishing to "kept/a" ${by}`) },
    ]);
    expect(await lettersOf(site, "other")).toEqual([]);

    await setRules(site, RULES.replace("cmd/+/fan", "none"));
    await say("cmd/9/fan");
    await eventually(() => expect(heard).toContain("cmd/9/fan"));
    expect(site.stats("fan")).toMatchObject({ deadLettered: 2 });
  });

  it("refuse what onFailure would publish too, and the dead letter is there all the same", async () => {
    const failing = functionOf({
      name: "fan",
      triggers: ["in/#"],
      onFailure: { publish: "cmd/7/fan" },
      retry: { attempts: 1 },
      handler: `throw new Error('always');`,
    });
    await using site = await Site.open(failing);
    await setRules(site, RULES);
    await site.send("in/a", "1");
    await eventually(() => expect(site.stats("fan")).toMatchObject({ deadLettered: 1, published: 0 }));
    const logs = await (await fetch(`${site.http}/v1/logs?function=fan`)).text();
    expect(logs).toContain("PERMISSION_DENIED: onFailure does not publish to");
    expect(await lettersOf(site, "fan")).toMatchObject([{ code: "FUNCTION_THREW" }]);
  });
});
