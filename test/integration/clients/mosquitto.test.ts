import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Broker } from "../../../src/broker/broker.ts";
import { connectClient } from "../../support/broker.ts";
import type { Pair } from "../../support/certificates.ts";
import { eventually } from "../../support/eventually.ts";
import { addressOf, type ListenerSite } from "../../support/listeners.ts";
import { Mosquitto, mosquitto, placeOf } from "../../support/mosquitto.ts";
import { OtherClientsSite, OVEN } from "../../support/other-clients-site.ts";
import { isMissing, MOSQUITTO } from "../../support/other-clients.ts";

const VERSIONS = ["mqttv31", "mqttv311", "mqttv5"] as const;
const V5 = ["-V", "mqttv5"];
const SAID = ["-u", OVEN.user, "-P", OVEN.password];
const RULES = `
rules:
  - {who: {user: oven}, allow: {publish: ["in/%u/#"], subscribe: "cmd/%u/#"}}
  - {who: {user: press}, allow: {publish: "in/%u/#"}}
  - {who: {anonymous: true}, deny: {publish: "forbidden/#"}, allow: {publish: "#", subscribe: "#", retain: "#"}}
`;

describe.skipIf(isMissing(MOSQUITTO))("the clients of Mosquitto", () => {
  let all: OtherClientsSite;
  let site: ListenerSite;
  let broker: Broker;
  let press: Pair;

  beforeAll(async () => {
    all = await OtherClientsSite.open(RULES);
    ({ site, broker, press } = all);
  });

  afterAll(async () => {
    await all[Symbol.asyncDispose]();
  });

  /** Arguments that lead to a listener. */
  function at(name: string): string[] {
    const address = addressOf(broker, name);
    return [...placeOf(address), ...(address.startsWith("mqtts:") ? ["--cafile", site.ca.certificate] : [])];
  }

  /** One that is subscribed. */
  async function subscriber(id: string, args: readonly string[]): Promise<Mosquitto> {
    const running = new Mosquitto("sub", [...at("default"), "-i", id, ...args]);
    const filters = args.filter((_arg, index) => args[index - 1] === "-t");
    await eventually(() => {
      const clients = broker.connections.list({ limit: 100 });
      expect(clients.find((client) => client.id === id)?.subscriptions).toEqual(filters);
    });
    return running;
  }

  async function publish(topic: string, text: string, ...args: readonly string[]): Promise<void> {
    const ended = await mosquitto("pub", [...at("default"), "-t", topic, "-m", text, "-q", "1", ...args]);
    expect(ended).toEqual({ code: 0, out: "", err: "" });
  }

  it.each(["default", "tls", "local"].flatMap((name) => VERSIONS.map((version) => [name, version] as const)))(
    "publish and subscribe at %s with %s, with every QoS",
    async (name, version) => {
      const topic = `to/${name}/${version}`;
      const place = [...at(name), "-V", version];
      await using sub = new Mosquitto("sub", [...place, "-i", topic, "-q", "2", "-t", `${topic}/+`, "-C", "3", "-F", "%t %q %p"]);
      await eventually(() => {
        const clients = broker.connections.list({ limit: 100 });
        expect(clients.find(({ id }) => id === topic)?.subscriptions).toEqual([`${topic}/+`]);
      });
      for (const qos of ["0", "1", "2"]) {
        const sent = await mosquitto("pub", [...place, "-q", qos, "-t", `${topic}/${qos}`, "-m", `with ${qos}`]);
        expect(sent).toEqual({ code: 0, out: "", err: "" });
      }
      expect(await sub.lines()).toEqual([0, 1, 2].map((qos) => `${topic}/${qos} ${qos} with ${qos}`));
    },
  );

  it.each(VERSIONS)("come in with a certificate of their own, and with none do not, with %s", async (version) => {
    const args = [...at("mutual"), "-V", version, "-q", "1", "-t", "in/press/temp", "-m", version];
    expect(await mosquitto("pub", [...args, "--cert", press.certificate, "--key", press.key])).toMatchObject({ code: 0, err: "" });
    expect(site.intake.texts).toContain(`in/press/temp=${version}`);
    expect((await mosquitto("pub", args)).code).not.toBe(0);
    expect(site.intake.texts.filter((text) => text === `in/press/temp=${version}`)).toHaveLength(1);
  });

  it.each([
    ["mqttv31", 4, 5],
    ["mqttv311", 4, 5],
    ["mqttv5", 134, 135],
  ] as const)("come in with name and password only, with %s", async (version, bad, unsaid) => {
    const args = [...at("known"), "-V", version, "-q", "1", "-t", "in/oven/temp", "-m", version];
    expect(await mosquitto("pub", [...args, ...SAID])).toMatchObject({ code: 0, err: "" });
    expect(site.intake.texts).toContain(`in/oven/temp=${version}`);
    expect((await mosquitto("pub", args)).code).toBe(unsaid);
    expect((await mosquitto("pub", [...args, "-u", "nobody", "-P", OVEN.password])).code).toBe(bad);
  });

  it("are told what they may not do", async () => {
    const denied = await mosquitto("pub", [...at("default"), ...V5, "-q", "1", "-t", "forbidden/x", "-m", "x"]);
    expect(denied.err).toMatch(/not authorized/i);
    const sub = await mosquitto("sub", [...at("known"), ...SAID, ...V5, "-q", "1", "-t", "elsewhere", "-E"]);
    expect(sub.err).toMatch(/rejected|denied|not authorized/i);
  });

  it("get what is retained, as it was last, and nothing once it is taken away", async () => {
    for (const text of ["first", "last"]) await publish("kept/oven", text, "-r");
    const kept = ["-q", "1", "-t", "kept/oven", "-C", "1", "-F", "%r %q %p"];
    expect((await mosquitto("sub", [...at("default"), ...kept])).out).toBe("1 1 last\n");
    expect((await mosquitto("pub", [...at("default"), "-q", "1", "-t", "kept/oven", "-r", "-n"])).code).toBe(0);
    await using sub = await subscriber("late", kept);
    await publish("kept/oven", "live");
    expect(await sub.lines()).toEqual(["0 1 live"]);
  });

  it.each(VERSIONS)("leave a will when they are killed, and none when they end, with %s", async (version) => {
    await using heir = await subscriber("heir", ["-q", "1", "-t", `will/${version}/+`, "-C", "1", "-F", "%t %p"]);
    const will = (id: string): string[] => ["--will-topic", `will/${version}/${id}`, "--will-payload", "gone", "--will-qos", "1"];
    await using killed = await subscriber("killed", ["-V", version, "-t", "nothing", ...will("killed")]);
    await publish("nothing", "at all", "-V", version, ...will("polite"));
    killed.child.kill("SIGKILL");
    expect(await heir.lines()).toEqual([`will/${version}/killed gone`]);
  });

  it.each(VERSIONS)("share a subscription, each message for one of them, with %s", async (version) => {
    const filter = `$share/group/work/${version}`;
    const args = ["-V", version, "-q", "1", "-t", filter, "-C", "5"];
    await using first = await subscriber("first", args);
    await using second = await subscriber("second", args);
    const texts = Array.from({ length: 10 }, (_, index) => String(index));
    const sent = await mosquitto("pub", [...at("default"), "-q", "1", "-t", `work/${version}`, "-l"], `${texts.join("\n")}\n`);
    expect(sent.code).toBe(0);
    const heard = [...(await first.lines()), ...(await second.lines())];
    expect(heard.toSorted()).toEqual(texts);
  });

  it.each(VERSIONS.flatMap((version) => ["1", "2"].map((qos) => [version, qos] as const)))(
    "take up a session and get what waited for them, in order, with %s and QoS %s",
    async (version, qos) => {
      const topic = `waits/${version}/${qos}`;
      const expiry = version === "mqttv5" ? ["-x", "1000"] : [];
      const args = [...at("default"), "-V", version, "-i", topic, "-c", ...expiry, "-q", qos, "-t", topic];
      expect((await mosquitto("sub", [...args, "-E"])).code).toBe(0);
      for (const text of ["one", "two", "three"]) await publish(topic, text, "-q", qos);
      expect(await mosquitto("sub", [...args, "-C", "3"])).toEqual({ code: 0, out: "one\ntwo\nthree\n", err: "" });
    },
  );

  it("publish with a topic alias", async () => {
    const args = [...at("default"), ...V5, "-d", "-q", "1", "-t", "in/a/long/topic", "-D", "publish", "topic-alias", "7", "-l"];
    const sent = await mosquitto("pub", args, "one\ntwo\nthree\n");
    expect(sent.code).toBe(0);
    expect(sent.out.match(/sending PUBLISH .*'\(null\)'/g)).toHaveLength(2); // What follows the first has the alias alone.
    expect(site.intake.texts).toEqual(expect.arrayContaining(["one", "two", "three"].map((text) => `in/a/long/topic=${text}`)));
  });

  it("get properties as they were sent, and the identifier of their subscription", async () => {
    const format = "%t|%S|%C|%R|%D|%F|%P|%p";
    await using sub = await subscriber("all", [
      ...V5,
      "-t",
      "with/#",
      "-D",
      "subscribe",
      "subscription-identifier",
      "42",
      "-C",
      "1",
      "-F",
      format,
    ]);
    const properties = [
      ["content-type", "application/json"],
      ["response-topic", "answers/1"],
      ["correlation-data", "seven"],
      ["payload-format-indicator", "1"],
      ["user-property", "site", "milan"],
    ];
    await publish("with/properties", "{}", ...V5, ...properties.flatMap((property) => ["-D", "publish", ...property]));
    expect(await sub.lines()).toEqual(["with/properties|42|application/json|answers/1|seven|1|site:milan|{}"]);
  });

  it("get what has not expired, with the time that is left, and not what has", async () => {
    const args = [...at("default"), ...V5, "-i", "slow", "-c", "-x", "1000", "-q", "1", "-t", "expires/#"];
    expect((await mosquitto("sub", [...args, "-E"])).code).toBe(0);
    const expiry = (seconds: string): string[] => [...V5, "-D", "publish", "message-expiry-interval", seconds];
    await publish("expires/soon", "soon", ...expiry("1"));
    await publish("expires/late", "late", ...expiry("1000"));
    const end = Date.now() + 1_000;
    await eventually(() => expect(Date.now()).toBeGreaterThan(end));
    const back = await mosquitto("sub", [...args, "-C", "1", "-F", "%t %E"]);
    const [topic, left] = back.out.trim().split(" ");
    expect(topic).toBe("expires/late");
    expect(Number(left)).toBeGreaterThan(0);
    expect(Number(left)).toBeLessThan(1_000);
  });

  it("ask and get their answer", async () => {
    await using responder = await connectClient(broker.address, { protocolVersion: 5 });
    await responder.mqtt.subscribeAsync("ask/time", { qos: 1 });
    responder.mqtt.on("message", (_topic, payload, { properties }) => {
      const { responseTopic = "", correlationData } = properties ?? {};
      const answer = correlationData === undefined ? {} : { properties: { correlationData } };
      responder.mqtt.publish(responseTopic, `${payload.toString()} is 7`, { qos: 1, ...answer });
    });
    const args = [...V5, "-q", "1", "-t", "ask/time", "-e", "answers/time", "-m", "it", "-D", "publish", "correlation-data", "c"];
    expect(await mosquitto("rr", [...at("default"), ...args, "-F", "%t %D %p"])).toMatchObject({
      code: 0,
      out: "answers/time c it is 7\n",
    });
  });
});
