import { describe, expect, it } from "vitest";
import { FunctionRules } from "../../../../src/broker/access/function-rules.ts";
import { functionSubject } from "../../../../src/broker/access/identity.ts";
import { Permit } from "../../../../src/broker/access/permit.ts";
import { parseRules, type Rule } from "../../../../src/broker/access/rules-file.ts";

const RULES = `
rules:
  - name: nobody but the valve function opens valves
    who: {function: [valve, "valve-*"]}
    allow: {publish: ["cmd/+/valve", "log/#"], retain: cmd/+/valve}
  - who: {function: "*"}
    deny: {publish: "cmd/#", retain: "alarm/#"}
  - who: {function: narrow}
    allow: {publish: out/#}
  - deny: {publish: "#"}
  - allow: {publish: "#", subscribe: "#"}
`;

const NONE = "no rule of the access file allows it";

function rulesOf(text: string): readonly Rule[] {
  return parseRules(text, "access.yaml");
}

describe("what a function may publish", () => {
  const rules = rulesOf(RULES);
  const functions = new FunctionRules(() => rules);
  const denied = 'rule access.yaml:6 denies "cmd/#"';

  it.each([
    ["valve", "cmd/7/valve", false, undefined],
    ["valve-2", "cmd/7/valve", true, undefined],
    ["valve", "log/x", false, undefined],
    ["valve", "cmd/7/fan", false, denied],
    ["valve", "other", false, NONE],
    ["other", "cmd/7/valve", false, denied],
    ["other", "x", true, undefined],
    ["other", "alarm/x", false, undefined],
    ["other", "alarm/x", true, 'rule access.yaml:6 denies "alarm/#"'],
    ["narrow", "out/x", false, undefined],
    ["narrow", "x", false, NONE],
  ] as const)("%s to %s (kept: %s): %s", (name, topic, retain, problem) => {
    expect(functions.publishProblem(name, topic, retain)).toBe(problem);
    // What has been asked is remembered.
    expect(functions.publishProblem(name, topic, retain)).toBe(problem);
  });

  it("is for rules that name functions to say: others are about clients, and these not", () => {
    const clientRules = rulesOf('rules: [{deny: {publish: "#"}}, {who: {anonymous: true}, deny: {publish: "#"}}]');
    expect(new FunctionRules(() => clientRules).publishProblem("valve", "cmd/7/valve", true)).toBeUndefined();
    const client = { user: "valve", groups: [], client: "valve", address: "10.0.0.1" };
    const only = rulesOf('rules: [{who: {function: "*"}, allow: {publish: "#"}}]');
    expect(new Permit(client, only, false).mayPublish("x", false)).toBe(false);
  });

  it("is what its manifest says without an access file, and what a new file says at once", () => {
    let now: readonly Rule[] | undefined;
    const changing = new FunctionRules(() => now);
    expect(changing.publishProblem("f", "cmd/x", false)).toBeUndefined();
    now = rulesOf(RULES);
    expect(changing.publishProblem("f", "cmd/x", false)).toBe(denied);
    now = rulesOf(RULES.replace("cmd/#", "else/#"));
    expect(changing.publishProblem("f", "cmd/x", false)).toBeUndefined();
    expect(new Permit(functionSubject("f"), undefined, true).publishing("cmd/x")).toMatchObject({ allowed: true });
  });

  it.each([
    ["with a user", "who: {function: f, user: anna}, allow: {publish: a}", "a function is no client"],
    ["with a group", "who: {function: f, group: g}, deny: {publish: a}", "a function is no client"],
    ["without a client's name", "who: {function: f, anonymous: true}, deny: {publish: a}", "a function is no client"],
    ["that may subscribe", "who: {function: f}, allow: {subscribe: a}", "functions do not subscribe"],
    ["that may not subscribe", "who: {function: f}, deny: {subscribe: a, publish: a}", "functions do not subscribe"],
    ["without a name", "who: {function: []}, deny: {publish: a}", "function"],
  ])("has no rule %s", (_, text, problem) => {
    expect(() => rulesOf(`rules: [{${text}}]`)).toThrow(problem);
  });
});
