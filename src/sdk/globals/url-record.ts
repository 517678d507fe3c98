/** A URL as the standard takes it apart. */
export interface UrlRecord {
  scheme: string;
  username: string;
  password: string;
  /** Null without `//`. */
  host: string | null;
  /** Null when it is the one of the scheme. */
  port: number | null;
  /** Text when it is opaque, as in `mailto:a@b`. */
  path: string | string[];
  query: string | null;
  fragment: string | null;
}

const PORTS: ReadonlyMap<string, number | null> = new Map([
  ["ftp", 21],
  ["file", null],
  ["http", 80],
  ["https", 443],
  ["ws", 80],
  ["wss", 443],
]);

export function isSpecial(scheme: string): boolean {
  return PORTS.has(scheme);
}

/** Digits → a port; null stands for the one of the scheme, undefined for none at all. */
export function portOf(digits: string, scheme: string): number | null | undefined {
  if (!/^\d*$/.test(digits)) return undefined;
  const port = Number(digits);
  if (port > 65_535) return undefined;
  return digits === "" || port === PORTS.get(scheme) ? null : port;
}

export function serialize(url: UrlRecord, withFragment = true): string {
  const colon = url.password === "" ? "" : `:${url.password}`;
  const credentials = url.username === "" && url.password === "" ? "" : `${url.username}${colon}@`;
  // Otherwise a path that begins with an empty segment would be taken for a host.
  const dot = url.host === null && typeof url.path !== "string" && url.path.length > 1 && url.path[0] === "" ? "/." : "";
  const authority = url.host === null ? dot : `//${credentials}${hostText(url)}`;
  const fragment = withFragment && url.fragment !== null ? `#${url.fragment}` : "";
  return `${url.scheme}:${authority}${pathText(url)}${url.query === null ? "" : `?${url.query}`}${fragment}`;
}

export function hostText({ host, port }: UrlRecord): string {
  return port === null ? (host ?? "") : `${host}:${port}`;
}

export function pathText({ path }: UrlRecord): string {
  return typeof path === "string" ? path : path.map((segment) => `/${segment}`).join("");
}
