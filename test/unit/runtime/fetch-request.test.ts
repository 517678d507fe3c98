import { describe, expect, it } from "vitest";
import { type FetchRequest, parseFetch, redirected } from "../../../src/runtime/fetch/request.ts";

const NONE = Buffer.alloc(0);
const head = (more: object): object => ({ url: "https://a.example.com/x", method: "GET", redirect: "follow", headers: [], ...more });

describe("a fetch as an isolate asks for it", () => {
  it.each([
    [undefined],
    [null],
    [[]],
    [head({ method: "CONNECT" })],
    [head({ method: "TRACE" })],
    [head({ url: `https://a/${"x".repeat(9_000)}` })],
    [head({ headers: Array.from({ length: 101 }, () => ["a", "b"]) })],
    [head({ headers: [["a", "x".repeat(17_000)]] })],
    [head({ headers: "none" })],
  ])("%j is beyond the limits", (given) => {
    expect(() => parseFetch(given, NONE)).toThrow(expect.objectContaining({ code: "LIMIT_FETCH" }));
  });

  it.each([
    ["/relative", /absolute/],
    ["file:///etc/passwd", /scheme/],
    ["data:text/plain,x", /scheme/],
    ["https://user:pass@a.example.com/", /user or a password/],
    ["https://", /absolute/],
  ])("the URL %s is refused", (url, problem) => {
    expect(() => parseFetch(head({ url }), NONE)).toThrow(problem);
  });

  it.each([
    ["x", "a\r\nHost: evil", /./],
    ["x", "a\nb", /./],
    ["x\r\ny", "a", /./],
    ["x y", "a", /./],
    ["x", "\u0100", /./],
    ["Host", "evil", /cannot be set/],
    ["content-length", "5", /cannot be set/],
    ["Transfer-Encoding", "chunked", /cannot be set/],
    ["proxy-authorization", "x", /cannot be set/],
  ])("the header %j with %j is refused", (name, value, problem) => {
    expect(() => parseFetch(head({ headers: [[name, value]] }), NONE)).toThrow(problem);
  });
});

describe("a redirect", () => {
  const base: FetchRequest = {
    ...parseFetch(head({ method: "POST", headers: [["Content-Type", "text/plain"]] }), Buffer.from("body")),
    headers: [
      ["authorization", "Bearer x"],
      ["cookie", "a=b"],
      ["x-api-key", "k"],
      ["content-type", "text/plain"],
      ["accept", "*/*"],
    ],
  };

  it.each([
    [301, "POST", "GET"],
    [302, "POST", "GET"],
    [303, "POST", "GET"],
    [307, "POST", "POST"],
    [308, "POST", "POST"],
    [301, "PUT", "PUT"],
    [303, "PUT", "GET"],
    [303, "HEAD", "HEAD"],
  ])("%i makes of %s %s", (status, method, after) => {
    const next = redirected({ ...base, method }, status, "/y");
    expect(next?.method).toBe(after);
    expect(next?.url.href).toBe("https://a.example.com/y");
    const left = method === after ? "body" : "";
    expect(next?.body.toString()).toBe(left);
  });

  function names(location: string): string[] {
    return redirected(base, 307, location)?.headers.map(([name]) => name) ?? [];
  }

  it("to another origin takes no credentials along, to the same one it does", () => {
    expect(names("https://b.example.com/")).toEqual(["content-type", "accept"]);
    expect(names("http://a.example.com/x")).toEqual(["content-type", "accept"]);
    expect(names("https://a.example.com:8443/")).toEqual(["content-type", "accept"]);
    expect(names("/z")).toEqual(["authorization", "cookie", "x-api-key", "content-type", "accept"]);
  });

  it.each([
    [200, "/y"],
    [304, "/y"],
    [302, undefined],
  ])("is none with %s and %s", (status, location) => {
    expect(redirected(base, status, location)).toBeUndefined();
  });

  it("to what is no web address is an error", () => {
    expect(() => redirected(base, 302, "file:///etc/passwd")).toThrow(/scheme/);
  });
});
