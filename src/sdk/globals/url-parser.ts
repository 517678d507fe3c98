import { ENCODED, percentEncode } from "./url-encoding.ts";
import { parseHost } from "./url-host.ts";
import { isSpecial, portOf, type UrlRecord } from "./url-record.ts";

/**
 * The parser of the URL standard (https://url.spec.whatwg.org/#concept-basic-url-parser). Its states are taken together where they only look for
 * the next `#`, `?`, `/` or `@`. Undefined when the text is no URL.
 */
export function parseUrl(text: string, base?: UrlRecord): UrlRecord | undefined {
  // oxlint-disable-next-line no-control-regex -- the standard names these characters by their codes
  const trimmed = text
    .toWellFormed()
    .replace(/^[\0-\x20]+|[\0-\x20]+$/g, "")
    .replace(/[\t\n\r]/g, "");
  const [, head = "", queryText, fragmentText] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(trimmed) ?? [];
  const [, schemeText, body = ""] = /^(?:([a-z][a-z\d+.-]*):)?(.*)$/is.exec(head) ?? [];
  const scheme = schemeText?.toLowerCase();
  const url =
    scheme === undefined ? relative(head, { base, query: queryText, fragment: fragmentText }) : absolute(scheme, body, base, queryText);
  if (url === undefined) return undefined;
  if (typeof url.path === "string" && (queryText ?? fragmentText) !== undefined) url.path = url.path.replace(/ $/, "%20");
  if (queryText !== undefined) url.query = encodeQuery(queryText, url.scheme);
  if (fragmentText !== undefined) url.fragment = percentEncode(fragmentText, ENCODED.fragment);
  return url;
}

export function encodeQuery(text: string, scheme: string): string {
  return percentEncode(text, isSpecial(scheme) ? ENCODED.specialQuery : ENCODED.query);
}

function blank(scheme: string): UrlRecord {
  return { scheme, username: "", password: "", host: null, port: null, path: [], query: null, fragment: null };
}

function slashes(scheme: string): RegExp {
  return isSpecial(scheme) ? /[/\\]/ : /\//;
}

function absolute(scheme: string, body: string, base?: UrlRecord, query?: string): UrlRecord | undefined {
  const url = blank(scheme);
  if (scheme === "file") return file(url, body, base?.scheme === "file" ? base : undefined, query);
  if (isSpecial(scheme)) {
    if (base?.scheme === scheme && !body.startsWith("//")) return beside(url, body, base, query);
    return authority(url, body.replace(/^[/\\]+/, ""));
  }
  if (body.startsWith("//")) return authority(url, body.slice(2));
  if (body.startsWith("/")) return withPath(url, body.slice(1));
  url.path = percentEncode(body, ENCODED.control);
  return url;
}

interface Relation {
  readonly base: UrlRecord | undefined;
  readonly query: string | undefined;
  readonly fragment: string | undefined;
}

function relative(body: string, { base, query, fragment }: Relation): UrlRecord | undefined {
  if (base === undefined) return undefined;
  if (typeof base.path === "string") {
    return body === "" && query === undefined && fragment !== undefined ? { ...base } : undefined;
  }
  const url = blank(base.scheme);
  return base.scheme === "file" ? file(url, body, base, query) : beside(url, body, base, query);
}

/** The states "relative" and "relative slash". */
function beside(url: UrlRecord, body: string, base: UrlRecord, query: string | undefined): UrlRecord | undefined {
  const slash = slashes(url.scheme);
  if (slash.test(body.charAt(0)) && slash.test(body.charAt(1)))
    return authority(url, body.slice(2).replace(isSpecial(url.scheme) ? /^[/\\]+/ : /^/, ""));
  Object.assign(url, { username: base.username, password: base.password, host: base.host, port: base.port });
  if (slash.test(body.charAt(0))) return withPath(url, body.slice(1));
  return onward(url, body, base, query);
}

/** From the path of the base. */
function onward(url: UrlRecord, body: string, base: UrlRecord, query: string | undefined): UrlRecord {
  url.path = typeof base.path === "string" ? [] : [...base.path];
  if (body === "") {
    url.query = query === undefined ? base.query : null;
    return url;
  }
  shorten(url);
  return withPath(url, body);
}

/** `text` begins behind the slashes. */
function authority(url: UrlRecord, text: string): UrlRecord | undefined {
  const end = text.search(slashes(url.scheme));
  const all = end === -1 ? text : text.slice(0, end);
  const at = all.lastIndexOf("@");
  if (at !== -1) {
    const [, name = "", password = ""] = /^([^:]*)(?::(.*))?$/s.exec(all.slice(0, at)) ?? [];
    url.username = percentEncode(name, ENCODED.userinfo);
    url.password = percentEncode(password, ENCODED.userinfo);
  }
  const place = all.slice(at + 1);
  if (place === "" && at !== -1) return undefined;
  if (!setHostAndPort(url, place)) return undefined;
  return startPath(url, end === -1 ? "" : text.slice(end));
}

/** False when there is no such host or port. */
function setHostAndPort(url: UrlRecord, place: string): boolean {
  const [hostname, digits] = splitPort(place);
  const special = isSpecial(url.scheme);
  if (hostname === "" && (special || digits !== undefined)) return false;
  const host = parseHost(hostname, special);
  const port = portOf(digits ?? "", url.scheme);
  if (host === undefined || port === undefined) return false;
  url.host = host;
  url.port = port;
  return true;
}

/** At the first colon outside of brackets. */
export function splitPort(place: string): [host: string, digits: string | undefined] {
  let bracketed = false;
  for (let at = 0; at < place.length; at++) {
    const character = place[at];
    if (character === ":" && !bracketed) return [place.slice(0, at), place.slice(at + 1)];
    if (character === "[" || character === "]") bracketed = character === "[";
  }
  return [place, undefined];
}

/** The state "path start". */
export function startPath(url: UrlRecord, text: string): UrlRecord {
  if (text === "" && !isSpecial(url.scheme)) return url;
  return withPath(url, slashes(url.scheme).test(text.charAt(0)) ? text.slice(1) : text);
}

/** The state "path", for text behind the slash. */
function withPath(url: UrlRecord, text: string): UrlRecord {
  const segments = text.split(slashes(url.scheme));
  const path = typeof url.path === "string" ? [] : url.path;
  url.path = path;
  segments.forEach((segment, index) => {
    const last = index === segments.length - 1;
    if (/^(?:\.|%2e){2}$/i.test(segment)) {
      shorten(url);
      if (last) path.push("");
    } else if (/^(?:\.|%2e)$/i.test(segment)) {
      if (last) path.push("");
    } else {
      const drive = url.scheme === "file" && path.length === 0 && /^[a-z][:|]$/i.test(segment);
      path.push(drive ? `${segment.charAt(0)}:` : percentEncode(segment, ENCODED.path));
    }
  });
  return url;
}

function shorten({ scheme, path }: UrlRecord): void {
  if (typeof path === "string") return;
  if (scheme === "file" && path.length === 1 && /^[a-z]:$/i.test(path[0] ?? "")) return;
  path.pop();
}

function startsWithDrive(text: string): boolean {
  return /^[a-z][:|](?:[/\\]|$)/i.test(text);
}

/** The states "file" and "file slash". */
function file(url: UrlRecord, body: string, base: UrlRecord | undefined, query: string | undefined): UrlRecord | undefined {
  url.host = "";
  if (/^[/\\]{2}/.test(body)) return fileHost(url, body.slice(2));
  if (/^[/\\]/.test(body)) {
    const drive = base?.path[0] ?? "";
    url.host = base?.host ?? "";
    if (!startsWithDrive(body.slice(1)) && /^[a-z]:$/i.test(drive)) url.path = [drive];
    return withPath(url, body.slice(1));
  }
  if (base === undefined) return withPath(url, body);
  url.host = base.host;
  return startsWithDrive(body) ? withPath(url, body) : onward(url, body, base, query);
}

function fileHost(url: UrlRecord, text: string): UrlRecord | undefined {
  const [name = ""] = text.split(/[/\\]/, 1);
  if (/^[a-z][:|]$/i.test(name)) return withPath(url, text);
  const host = name === "" ? "" : parseHost(name, true);
  if (host === undefined) return undefined;
  url.host = host === "localhost" ? "" : host;
  return startPath(url, text.slice(name.length));
}
