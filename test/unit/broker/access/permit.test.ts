import { describe, expect, it } from "vitest";
import { Permit } from "../../../../src/broker/access/permit.ts";
import { parseRules } from "../../../../src/broker/access/rules-file.ts";

const RULES = `
rules:
  - name: nobody touches the safety
    who: {group: [sensors, guests]}
    deny: {publish: ["+/safety/#"], subscribe: ["+/safety/#"]}
  - who: {group: sensors}
    allow:
      publish: ["sensors/%c/#", "users/%u/up"]
      subscribe: ["cmd/%c/#", "all"]
      retain: ["sensors/%c/state"]
  - who: {user: [anna, "tech-*"], address: 10.0.0.0/8}
    allow: {publish: "cmd/#", subscribe: "#", retain: "cmd/#"}
  - who: {anonymous: true}
    allow: {subscribe: public/#}
  - deny: {publish: private/%c/#}
  - allow: {publish: "private/#"}
`;

function permit(subject: { user?: string; groups?: readonly string[]; client?: string; address?: string | undefined }): Permit {
  const { user, groups = [], client = "c1", address = "192.168.1.5" } = subject;
  return new Permit({ user, groups, client, address }, parseRules(RULES, "access.yaml"), false);
}

describe("a permit", () => {
  it("takes the first rule that matches, and none means no", () => {
    const sensor = permit({ user: "s", groups: ["sensors"] });
    expect(sensor.mayPublish("sensors/c1/temp", false)).toBe(true);
    expect(sensor.mayPublish("sensors/c2/temp", false)).toBe(false);
    expect(sensor.mayPublish("sensors/safety/temp", false)).toBe(false);
    expect(sensor.publishing("sensors/safety/temp").why).toBe('rule "nobody touches the safety", access.yaml:3 denies "+/safety/#"');
    expect(sensor.publishing("cmd/x").why).toBe("no rule of the access file allows it");
    expect(sensor.mayPublish("users/s/up", false)).toBe(true);
  });

  it("asks twice about a message that is to be kept", () => {
    const sensor = permit({ user: "s", groups: ["sensors"] });
    expect(sensor.mayPublish("sensors/c1/state", true)).toBe(true);
    expect(sensor.mayPublish("sensors/c1/temp", true)).toBe(false);
  });

  it("goes by user, group, client, address and whether there is a user at all", () => {
    expect(permit({ user: "anna", address: "10.9.9.9" }).maySubscribe("#")).toBe(true);
    expect(permit({ user: "tech-4", address: "10.9.9.9" }).mayPublish("cmd/x", false)).toBe(true);
    expect(permit({ user: "anna", address: "11.9.9.9" }).maySubscribe("#")).toBe(false);
    expect(permit({ user: "anna", address: undefined }).maySubscribe("cmd/x")).toBe(false);
    expect(permit({ user: "annabel", address: "10.9.9.9" }).maySubscribe("#")).toBe(false);
    expect(permit({}).maySubscribe("public/x")).toBe(true);
    expect(permit({ user: "x" }).maySubscribe("public/x")).toBe(false);
  });

  it.each(["a/b", "+", "#", "a#", "", "x/../y"])(
    "lets the client id %j stand for no level, neither to allow nor to get around a denial",
    (client) => {
      const sensor = permit({ user: "s", groups: ["sensors"], client });
      expect(sensor.mayPublish(`sensors/${client}/temp`, false)).toBe(false);
      expect(sensor.mayPublish("sensors/a/temp", false)).toBe(false);
      expect(sensor.maySubscribe("cmd/+/#")).toBe(false);
      expect(sensor.mayPublish("private/anything/x", false)).toBe(false);
    },
  );

  it("lets nobody without a user use %u", () => {
    expect(permit({ groups: ["sensors"] }).mayPublish("users//up", false)).toBe(false);
    expect(permit({ groups: ["sensors"] }).mayPublish("users/undefined/up", false)).toBe(false);
  });

  it("allows a filter only when all that it brings is allowed, also a shared one", () => {
    const sensor = permit({ user: "s", groups: ["sensors"] });
    expect(sensor.maySubscribe("cmd/c1/#")).toBe(true);
    expect(sensor.maySubscribe("$share/g/cmd/c1/+")).toBe(true);
    expect(sensor.maySubscribe("cmd/+/#")).toBe(false);
    expect(sensor.maySubscribe("$share/g/#")).toBe(false);
    expect(sensor.subscribing("#").why).toMatch(/^it would bring messages such as ".+": no rule/);
    const guest = permit({ user: "anna", groups: ["guests"], address: "10.0.0.1" });
    expect(guest.subscribing("#").why).toContain("nobody touches the safety");
  });

  it("shows $SYS to operators only, whatever rules say", () => {
    const anna = { user: "anna", address: "10.0.0.1" };
    expect(permit(anna).maySubscribe("$SYS/#")).toBe(false);
    expect(permit(anna).maySubscribe("$share/g/$SYS/#")).toBe(false);
    expect(permit({ ...anna, groups: ["operators"] }).maySubscribe("$SYS/#")).toBe(true);
    expect(permit({ ...anna, groups: ["operators"] }).maySubscribe("$other/#")).toBe(false);
    expect(permit(anna).mayReceive("$SYS/x")).toBe(false);
  });

  it("is open or closed when there are no rules", () => {
    const subject = { user: undefined, groups: [], client: "c", address: undefined };
    expect(new Permit(subject, undefined, true).mayPublish("a", true)).toBe(true);
    expect(new Permit(subject, undefined, false).mayPublish("a", false)).toBe(false);
    expect(new Permit(subject, undefined, false).maySubscribe("a")).toBe(false);
    expect(new Permit(subject, undefined, true).maySubscribe("$SYS/#")).toBe(false);
  });

  it("remembers with a bound", () => {
    const sensor = permit({ user: "s", groups: ["sensors"] });
    for (let index = 0; index < 1_000; index++) expect(sensor.mayPublish(`sensors/c1/${index}`, false)).toBe(true);
    expect(sensor.mayPublish("sensors/c1/0", false)).toBe(true);
    expect(sensor.mayPublish("sensors/c2/0", false)).toBe(false);
  });
});

describe("an access file", () => {
  it.each([
    ["", /:1: expected `rules:`/],
    ["rules: [", /:1: /],
    ["rules: x", /:1: rules: /],
    ["rule: []", /rule/],
    ["rules:\n  - who: {group: a}", /:2: .*expected allow or deny/],
    ["rules:\n  - allow: {publish: a}\n  - allow: {}", /:3: .*expected publish, subscribe or retain/],
    ["rules:\n  - who: {}\n    allow: {publish: a}", /:2: .*expected user, group/],
    ["rules:\n  - who: {usr: a}\n    allow: {publish: a}", /:2: .*usr/],
    ["rules:\n  - who: {user: 7}\n    allow: {publish: a}", /:2: /],
    ["rules:\n  - allow:\n      publish:\n        - ok\n        - a/#/b", /:5: .*"#" in level 2/],
    ["rules:\n  - allow: {publish: a%x}", /:2: .*"%" stands for itself/],
    ["rules:\n  - allow: {subscribe: $SYS/#}", /:2: .*operators/],
    ["rules:\n  - who: {address: 10.0.0.0/33}\n    allow: {publish: a}", /:2: .*neither an address nor a range/],
    ["rules:\n  - who: {address: host}\n    allow: {publish: a}", /neither an address nor a range/],
    ["rules:\n  - who: {anonymous: false}\n    allow: {publish: a}", /:2: /],
    ["rules: []\nrules: []", /:2: /],
  ])("refuses %j", (text, problem) => {
    expect(() => parseRules(text, "access.yaml")).toThrow(
      expect.objectContaining({ code: "ACCESS_INVALID", message: expect.stringMatching(problem) as string }),
    );
  });

  it("takes ranges of both versions, and a percent sign that is written twice", () => {
    const text = "rules:\n  - who: {address: [fd00::/8, 192.168.0.0/16, '::1']}\n    allow: {publish: rate/%%c}";
    const of = (address: string): Permit => new Permit({ user: "u", groups: [], client: "c", address }, parseRules(text, "f"), false);
    for (const address of ["fd12::1", "192.168.3.4", "::1"]) expect(of(address).mayPublish("rate/%c", false)).toBe(true);
    for (const address of ["fe80::1", "192.169.0.1", "127.0.0.1"]) expect(of(address).mayPublish("rate/%c", false)).toBe(false);
  });
});
