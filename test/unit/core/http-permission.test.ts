import { assert, ipV4, ipV6, property } from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalAddress, isPublic } from "../../../src/core/addresses.ts";
import { compileHttp, httpEntryProblem } from "../../../src/core/http-permission.ts";

describe("permissions.http", () => {
  const entries = [
    "api.example.com",
    "*.sub.example.com",
    "http://plain.example.com",
    "odd.example.com:8443",
    "http://10.0.0.5:8080",
    "[2001:DB8::1]",
  ];
  const permissions = compileHttp(entries);

  it.each([
    ["https://api.example.com/x?y", true],
    ["https://API.example.com./", true],
    ["https://api.example.com:443/", true],
    ["https://api.example.com:8443/", false],
    ["http://api.example.com/", false],
    ["https://example.com/", false],
    ["https://evil-api.example.com/", false],
    ["https://api.example.com.evil.net/", false],
    ["https://a.sub.example.com/", true],
    ["https://a.b.sub.example.com/", true],
    ["https://sub.example.com/", false],
    ["https://notsub.example.com/", false],
    ["http://plain.example.com/", true],
    ["https://plain.example.com/", false],
    ["https://odd.example.com:8443/", true],
    ["https://odd.example.com/", false],
    ["http://10.0.0.5:8080/", true],
    ["http://0x0a000005:8080/", true],
    ["http://10.0.0.6:8080/", false],
    ["https://[2001:db8:0:0::1]/", true],
  ])("%s: %s", (url, allowed) => {
    expect(permissions.grant(new URL(url)) !== undefined).toBe(allowed);
  });

  it.each([
    ["*", /would allow any host/],
    ["*.com", /allows too much/],
    ["*.10.0.0.1", /allows too much/],
    ["ftp://example.com", /scheme "ftp"/],
    ["https://example.com/path", /try "https:\/\/example.com"/],
    ["example.com/", /try "example.com"/],
    ["user@example.com", /is not a host/],
    ["2001:db8::1", /try "\[2001:db8::1\]"/],
    ["exa mple.com", /is not a host/],
    ["example.com:99999", /not a host that a URL can name/],
    ["0.0.0.0", /nobody in particular/],
    ["[ff02::1]", /nobody in particular/],
    ["", /is not a host/],
  ])("%j is refused when it is built", (text, problem) => {
    expect(httpEntryProblem(text)).toMatch(problem);
  });

  it.each(entries)("%s is fine", (text) => expect(httpEntryProblem(text)).toBeUndefined());
});

function grantOf(entries: readonly string[], url: string, address: string): boolean {
  const permissions = compileHttp(entries);
  const grant = permissions.grant(new URL(url));
  return grant !== undefined && permissions.mayReach(grant, address);
}

describe("addresses", () => {
  const PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "198.18.0.1",
    "192.0.0.8",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
    "2001:db8::1",
  ];

  it.each(PRIVATE)("%s is not for a public name", (address) => {
    expect(grantOf(["api.example.com"], "https://api.example.com/", address)).toBe(false);
    expect(grantOf(["*.example.com"], "https://api.example.com/", address)).toBe(false);
  });

  it.each(["0.0.0.0", "::", "224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:0.0.0.0"])("%s is for nobody", (address) => {
    expect(grantOf(["http://localhost"], "http://localhost/", address)).toBe(false);
  });

  it.each(["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])("%s is public", (address) => {
    expect(grantOf(["*.example.com"], "https://api.example.com/", address)).toBe(true);
  });

  it("of the local network are for local names, but never those of the link", () => {
    for (const name of ["localhost", "historian", "printer.local", "plc.internal", "nas.lan", "x.home.arpa"]) {
      expect(grantOf([`http://${name}`], `http://${name}/`, "192.168.1.5")).toBe(true);
      expect(grantOf([`http://${name}`], `http://${name}/`, "169.254.169.254")).toBe(false);
    }
    expect(grantOf(["http://*.plant.local"], "http://a.plant.local/", "192.168.1.5")).toBe(false);
  });

  it("that are named are for every name on the list", () => {
    expect(grantOf(["historian.example.com", "10.1.2.3"], "https://historian.example.com/", "10.1.2.3")).toBe(true);
    expect(grantOf(["historian.example.com", "10.1.2.3"], "https://historian.example.com/", "10.1.2.4")).toBe(false);
    expect(grantOf(["http://169.254.169.254"], "http://169.254.169.254/", "169.254.169.254")).toBe(true);
  });

  it("of version 4 are judged the same in every form of version 6", () => {
    assert(
      property(ipV4(), (address) => {
        const mapped = canonicalAddress(`::ffff:${address}`);
        expect(mapped).toBe(address);
        expect(isPublic(canonicalAddress(`[64:FF9B::${address}]`) ?? "")).toBe(isPublic(address));
      }),
    );
  });

  it("of version 6 are public only within 2000::/3", () => {
    assert(
      property(ipV6(), (address) => {
        const canonical = canonicalAddress(address) ?? "";
        expect(canonical.includes(":") && isPublic(canonical) ? canonical : "2").toMatch(/^[23]/);
      }),
    );
  });
});
