import { canonicalAddress, isLinkLocal, isNobody, isPublic } from "./addresses.ts";

/** One entry of `permissions.http`: `[scheme://]host[:port]`. */
interface HttpEntry {
  readonly protocol: "https:" | "http:";
  /** As in a URL; of a wildcard what follows the star, `.example.com`. */
  readonly host: string;
  readonly wildcard: boolean;
  readonly port: string;
}

/** What a URL was found allowed by. */
export interface HttpGrant {
  /** The entry names a host of the local network, which may have an address of it. */
  readonly local: boolean;
}

export interface HttpPermissions {
  /** Undefined when no entry allows the origin of `url`. */
  grant(url: URL): HttpGrant | undefined;
  /** Whether a name that was granted may lead to this address. */
  mayReach(grant: HttpGrant, address: string): boolean;
}

const ENTRY = /^(?:(?<scheme>[a-z][a-z0-9+.-]*):\/\/)?(?<star>\*\.)?(?<host>\[[\da-f:.]+\]|[^\s/:?#@[\]*]+)(?::(?<port>\d{1,5}))?$/i;
/** Ends of names that only a local network knows (RFC 6761, 6762, 8375; `internal` is reserved for this by ICANN). */
const LOCAL_ENDS = ["localhost", "local", "internal", "lan", "home.arpa"];
const DEFAULT_PORTS = { "https:": "443", "http:": "80" } as const;

/** Why `text` cannot stand in `permissions.http`, or undefined when it can. */
export function httpEntryProblem(text: string): string | undefined {
  const entry = parseHttpEntry(text);
  return "problem" in entry ? entry.problem : undefined;
}

/** @throws RangeError for an entry that `httpEntryProblem` has words for */
export function compileHttp(entries: readonly string[]): HttpPermissions {
  const parsed = entries.map((text) => {
    const entry = parseHttpEntry(text);
    if ("problem" in entry) throw new RangeError(entry.problem);
    return entry;
  });
  const named = new Set(parsed.map(({ host }) => canonicalAddress(host)).filter((address) => address !== undefined));
  return {
    grant(url) {
      const host = hostOf(url);
      const entry = parsed.find((each) => matches(each, url, host));
      return entry === undefined ? undefined : { local: !entry.wildcard && isLocalName(host) };
    },
    mayReach(grant, text) {
      const address = canonicalAddress(text);
      if (address === undefined || isNobody(address)) return false;
      return isPublic(address) || named.has(address) || (grant.local && !isLinkLocal(address));
    },
  };
}

function parseHttpEntry(text: string): HttpEntry | { readonly problem: string } {
  const wrong = (why: string): { problem: string } => ({ problem: `"${text}" ${why}` });
  if (text === "*") return wrong('would allow any host; name the hosts, such as "api.example.com" or "*.example.com"');
  const { scheme = "https", star, host = "", port } = ENTRY.exec(text)?.groups ?? {};
  if (host === "") return wrong(`is not a host such as "api.example.com", "*.example.com" or "http://10.0.0.5:8080"${near(text)}`);
  const protocol = `${scheme.toLowerCase()}:`;
  if (protocol !== "https:" && protocol !== "http:") return wrong(`has the scheme "${scheme}"; https and http are possible`);
  const address = `${protocol}//${host}${port === undefined ? "" : `:${port}`}/`;
  if (!URL.canParse(address)) return wrong("is not a host that a URL can name");
  const url = new URL(address);
  const ip = canonicalAddress(url.hostname);
  if (ip !== undefined && isNobody(ip)) return wrong("is the address of nobody in particular");
  const canonical = hostOf(url);
  if (star !== undefined && (ip !== undefined || !canonical.includes("."))) {
    return wrong('allows too much; a wildcard stands before a name with a dot, such as "*.example.com"');
  }
  const entry = { protocol, wildcard: star !== undefined, port: url.port === "" ? DEFAULT_PORTS[protocol] : url.port } as const;
  return { ...entry, host: star === undefined ? canonical : `.${canonical}` };
}

/** What was probably meant. */
function near(text: string): string {
  const bare = text.trim();
  if (/^[\da-f]*:[\da-f:.]+$/i.test(bare)) return `; try "[${bare}]"`;
  const shorter = /^((?:https?:\/\/)?(?:\*\.)?[\w.-]+(?::\d+)?)[/?#]/i.exec(bare)?.[1];
  return shorter === undefined ? "" : `; paths cannot be chosen, try "${shorter}"`;
}

/** Without the dot that may end a name. */
function hostOf(url: URL): string {
  return url.hostname.replace(/\.$/, "");
}

function matches(entry: HttpEntry, url: URL, host: string): boolean {
  if (url.protocol !== entry.protocol || (url.port === "" ? DEFAULT_PORTS[entry.protocol] : url.port) !== entry.port) return false;
  return entry.wildcard ? host.endsWith(entry.host) && host.length > entry.host.length : host === entry.host;
}

function isLocalName(host: string): boolean {
  if (canonicalAddress(host) !== undefined) return false;
  return !host.includes(".") || LOCAL_ENDS.some((end) => host.endsWith(`.${end}`));
}
