import { ENCODED, percentEncode } from "./url-encoding.ts";
import { parseHost } from "./url-host.ts";
import { encodeQuery, parseUrl, splitPort, startPath } from "./url-parser.ts";
import { hostText, isSpecial, pathText, portOf, serialize, type UrlRecord } from "./url-record.ts";
import { URLSearchParams } from "./url-search-params.ts";

/** What becomes text by `String`. */
type Text = string | number | boolean | null | URL;

/** `URL` of the URL standard. Names with other characters than ASCII are mapped by a close approximation, see `url-host.ts`. */
export class URL {
  #url: UrlRecord;
  readonly #search: ReturnType<typeof URLSearchParams.of>;

  /** @throws TypeError when it is no URL */
  constructor(text: Text, base?: Text) {
    const found = read(text, base);
    if (found === undefined) throw new TypeError(`Invalid URL: ${String(text).slice(0, 1_000)}`);
    this.#url = found;
    this.#search = URLSearchParams.of(found.query ?? "", (query) => (this.#url.query = query === "" ? null : query));
  }

  static canParse(text: Text, base?: Text): boolean {
    return read(text, base) !== undefined;
  }

  static parse(text: Text, base?: Text): URL | null {
    return URL.canParse(text, base) ? new URL(text, base) : null;
  }

  get href(): string {
    return serialize(this.#url);
  }
  set href(text: Text) {
    const found = read(text);
    if (found === undefined) throw new TypeError(`Invalid URL: ${String(text).slice(0, 1_000)}`);
    this.#url = found;
    this.#search.replace(found.query ?? "");
  }

  get origin(): string {
    const { scheme, path } = this.#url;
    if (scheme === "blob" && typeof path === "string") {
      const inner = parseUrl(path);
      return inner !== undefined && /^https?$/.test(inner.scheme) ? `${inner.scheme}://${hostText(inner)}` : "null";
    }
    return isSpecial(scheme) && scheme !== "file" ? `${scheme}://${hostText(this.#url)}` : "null";
  }

  get protocol(): string {
    return `${this.#url.scheme}:`;
  }
  set protocol(text: Text) {
    const scheme = /^([a-z][a-z\d+.-]*)(?::|$)/i.exec(String(text).replace(/[\t\n\r]/g, ""))?.[1]?.toLowerCase();
    const url = this.#url;
    if (scheme === undefined || isSpecial(scheme) !== isSpecial(url.scheme)) return;
    if (scheme === "file" && (url.username !== "" || url.password !== "" || url.port !== null)) return;
    if (url.scheme === "file" && url.host === "") return;
    url.scheme = scheme;
    url.port = portOf(String(url.port ?? ""), scheme) ?? null;
  }

  get username(): string {
    return this.#url.username;
  }
  set username(text: Text) {
    if (this.#hasPlace()) this.#url.username = percentEncode(String(text), ENCODED.userinfo);
  }

  get password(): string {
    return this.#url.password;
  }
  set password(text: Text) {
    if (this.#hasPlace()) this.#url.password = percentEncode(String(text), ENCODED.userinfo);
  }

  /** Whether it may have credentials and a port. */
  #hasPlace(): boolean {
    const { host, scheme } = this.#url;
    return host !== null && host !== "" && scheme !== "file";
  }

  get host(): string {
    return hostText(this.#url);
  }
  set host(text: Text) {
    const [hostname, digits] = splitPort(this.#authority(text));
    if (this.#setHost(hostname, digits !== undefined) && digits !== undefined && digits !== "") this.port = digits;
  }

  get hostname(): string {
    return this.#url.host ?? "";
  }
  set hostname(text: Text) {
    const [hostname, digits] = splitPort(this.#authority(text));
    if (digits === undefined) this.#setHost(hostname, false);
  }

  #authority(text: Text): string {
    const end = isSpecial(this.#url.scheme) ? /[/\\?#]/ : /[/?#]/;
    const [found = ""] = String(text)
      .replace(/[\t\n\r]/g, "")
      .split(end, 1);
    return found;
  }

  #setHost(hostname: string, withPort: boolean): boolean {
    const url = this.#url;
    if (typeof url.path === "string") return false;
    const special = isSpecial(url.scheme);
    const credentials = url.username !== "" || url.password !== "" || url.port !== null;
    if (hostname === "" && ((special && url.scheme !== "file") || credentials || withPort)) return false;
    const host = hostname === "" ? "" : parseHost(hostname, special);
    if (host === undefined || (url.scheme === "file" && withPort)) return false;
    url.host = url.scheme === "file" && host === "localhost" ? "" : host;
    return true;
  }

  get port(): string {
    return String(this.#url.port ?? "");
  }
  set port(text: Text) {
    if (!this.#hasPlace()) return;
    const [digits = ""] = /^\d*/.exec(String(text).replace(/[\t\n\r]/g, "")) ?? [];
    const port = portOf(digits, this.#url.scheme);
    if (String(text) === "" || (digits !== "" && port !== undefined)) this.#url.port = port ?? null;
  }

  get pathname(): string {
    return pathText(this.#url);
  }
  set pathname(text: Text) {
    if (typeof this.#url.path === "string") return;
    const path = String(text).replace(/[\t\n\r]/g, "");
    this.#url.path = path === "" && this.#url.host === null ? [""] : [];
    if (path !== "" || isSpecial(this.#url.scheme)) startPath(this.#url, path);
  }

  get search(): string {
    const { query } = this.#url;
    return query === null || query === "" ? "" : `?${query}`;
  }
  set search(text: Text) {
    const query = String(text)
      .replace(/^\?/, "")
      .replace(/[\t\n\r]/g, "");
    this.#url.query = String(text) === "" ? null : encodeQuery(query, this.#url.scheme);
    this.#search.replace(query);
  }

  get searchParams(): URLSearchParams {
    return this.#search.params;
  }

  get hash(): string {
    const { fragment } = this.#url;
    return fragment === null || fragment === "" ? "" : `#${fragment}`;
  }
  set hash(text: Text) {
    const fragment = String(text)
      .replace(/^#/, "")
      .replace(/[\t\n\r]/g, "");
    this.#url.fragment = String(text) === "" ? null : percentEncode(fragment, ENCODED.fragment);
  }

  toString(): string {
    return this.href;
  }
  toJSON(): string {
    return this.href;
  }
}

function read(text: Text, base?: Text): UrlRecord | undefined {
  if (base === undefined) return parseUrl(String(text));
  const known = parseUrl(String(base));
  return known === undefined ? undefined : parseUrl(String(text), known);
}
