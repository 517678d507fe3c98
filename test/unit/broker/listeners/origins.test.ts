import { expect, it } from "vitest";
import { mayConnect } from "../../../../src/broker/listeners/origins.ts";

const PANEL = "https://panel.example.com";

it.each([
  ["a program that says no origin", undefined, "gw:8083", false, true],
  ["a page that is named", PANEL, "gw:8083", false, true],
  ["a page that is not", "https://evil.example", "gw:8083", false, false],
  ["a page of this machine from another port", "http://localhost:3000", "localhost:8083", false, false],
  ["a library that says an address of version 4", "https://10.0.0.5:8083", "10.0.0.5:8083", false, true],
  ["a library that says an address of version 6", "https://[fd00::5]:8083", "[FD00::5]:8083", false, true],
  ["a library that says localhost", "https://localhost:8083", "localhost:8083", false, true],
  ["a page under a name that was pointed here", "http://evil.example:8083", "evil.example:8083", false, false],
  ["a library that says a name, over TLS", "https://gw.example:8084", "gw.example:8084", true, true],
  ["a page that came without TLS, over TLS", "http://gw.example:8084", "gw.example:8084", true, false],
  ["a page from elsewhere, over TLS", "https://evil.example:8084", "gw.example:8084", true, false],
  ["a page of no origin", "null", "null", false, false],
  ["nothing at all", "", "", false, false],
  ["a scheme alone", "https://", "", true, false],
])("%s", (_what, origin, host, isSecure, may) => {
  expect(mayConnect(new Set([PANEL]), { origin, host, isSecure })).toBe(may);
  expect(mayConnect("any", { origin, host, isSecure })).toBe(true);
});
