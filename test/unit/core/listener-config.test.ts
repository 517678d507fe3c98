import { describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/core/config.ts";
import { GATEWAY_TABLE, type ListenerConfig } from "../../../src/core/gateway-config.ts";

function load(text: string, env: Record<string, string> = {}): Readonly<Record<string, ListenerConfig>> {
  return loadConfig(GATEWAY_TABLE, { text, file: "f.yaml", env }).mqtt.listeners;
}

const PAIR = "certificate: a.crt, key: a.key";

describe("listeners of the configuration", () => {
  it("are none without any, and the table's own default stays empty", () => {
    load("mqtt.listeners.a: {port: 1}");
    expect(load("")).toEqual({});
  });

  it("come nested, dotted and from variables, with defaults beside what is given", () => {
    const listeners = load(`mqtt:\n  listeners:\n    a: {port: 1}\nmqtt.listeners.b.type: unix\nmqtt.listeners.b.socket: /run/b.sock`, {
      MILLRACE_MQTT_LISTENERS_A_CONNECTIONS_MAX: "7",
      MILLRACE_MQTT_LISTENERS_C_TYPE: "ws",
      MILLRACE_MQTT_LISTENERS_C_PATH: "/c",
    });
    expect(Object.keys(listeners).toSorted()).toEqual(["a", "b", "c"]);
    expect(listeners["a"]).toMatchObject({ type: "tcp", host: "127.0.0.1", port: 1, connections_max: 7, anonymous: "local" });
    expect(listeners["b"]).toMatchObject({ type: "unix", socket: "/run/b.sock", mode: "0660" });
    expect(listeners["c"]).toMatchObject({ type: "ws", path: "/c", origins: [] });
  });

  it.each([
    ["prt: 1", /f\.yaml:1: mqtt\.listeners\.x\.prt: unknown key; did you mean "port"\?/],
    ["type: wsss", /it cannot be "wsss"; did you mean "wss"\?/],
    ["type: ws, port: 1", /a listener of type ws needs path/],
    ["type: tcp", /a listener of type tcp needs port/],
    [`type: tls, certificate: a.crt`, /a listener of type tls needs key/],
    ["type: unix", /a listener of type unix needs socket/],
    [`type: unix, socket: /${"x".repeat(103)}`, /the path has 104 bytes.*shorter/],
    ["type: unix, socket: /s, mode: 660", /mode: expected text \(in quotes/],
    ["type: tcp, port: 1, path: /mqtt", /path is for ws, wss, and this listener has the type tcp/],
    [`type: tls, ${PAIR}, client_certificates: required`, /needs client_ca/],
    [`type: tls, ${PAIR}, client_ca: ca.crt`, /need client_certificates/],
    ["port: 1, proxies: [10.0.0.0/33]", /"10\.0\.0\.0\/33" is no address/],
    ["type: ws, path: /m, origins: [panel.example.com]", /is no origin such as/],
    ['port: 1, host: "[::1]"', /without brackets/],
  ])("with {%s} are refused with what to do", (entry, problem) => {
    expect(() => load(`mqtt.listeners.x: {${entry}}`)).toThrow(problem);
  });

  it.each(["default", "mqtt", "Field", "a-b", "1a"])("cannot have the name %s", (name) => {
    expect(() => load(`mqtt: {listeners: {${name}: {port: 1}}}`)).toThrow(/name/);
  });

  it("report a variable that is for none of their keys", () => {
    expect(() => load("", { MILLRACE_MQTT_LISTENERS_A_PROT: "1" })).toThrow(/unknown variable MILLRACE_MQTT_LISTENERS_A_PROT/);
  });
});
