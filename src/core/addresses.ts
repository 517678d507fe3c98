import { BlockList, isIPv4, isIPv6 } from "node:net";

/** What is not the public internet, by RFC 6890 and the registries of special addresses. */
const SPECIAL_4: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];
/** Within 2000::/3, the only addresses of version 6 that are public. */
const SPECIAL_6: readonly (readonly [string, number])[] = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
];
/** Where clouds answer with the credentials of the machine. */
const METADATA_6 = "fd00:ec2::254";
const METADATA_4 = "100.100.100.200";

const special = new BlockList();
for (const [net, bits] of SPECIAL_4) special.addSubnet(net, bits, "ipv4");
for (const [net, bits] of SPECIAL_6) special.addSubnet(net, bits, "ipv6");
const global6 = new BlockList();
global6.addSubnet("2000::", 3, "ipv6");
const linkLocal = new BlockList();
linkLocal.addSubnet("169.254.0.0", 16, "ipv4");
linkLocal.addAddress(METADATA_4, "ipv4");
linkLocal.addSubnet("fe80::", 10, "ipv6");
linkLocal.addAddress(METADATA_6, "ipv6");
const nobody = new BlockList();
nobody.addSubnet("0.0.0.0", 8, "ipv4");
nobody.addSubnet("224.0.0.0", 4, "ipv4");
nobody.addAddress("255.255.255.255", "ipv4");
nobody.addAddress("::", "ipv6");
nobody.addSubnet("ff00::", 8, "ipv6");

/** The address in one form: without a zone, in lower case, and one of version 4 within version 6 (mapped, or behind NAT64) as version 4. */
export function canonicalAddress(text: string): string | undefined {
  const address = shortAddress(text);
  const [, high, low] = /^(?:::ffff:|64:ff9b::)([\da-f]{1,4}):([\da-f]{1,4})$/.exec(address ?? "") ?? [];
  if (high === undefined || low === undefined) return address;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join(".");
}

/**
 * The same of the other end of a connection, except that one behind NAT64 which claims to be loopback stays one of version 6: whoever sends from it is
 * somewhere in the network (RFC 6052, 3.1, allows nobody to).
 */
export function peerAddress(text: string): string | undefined {
  const address = canonicalAddress(text);
  const short = shortAddress(text);
  return address !== undefined && isLoopback(address) && short?.startsWith("64:") === true ? short : address;
}

function shortAddress(text: string): string | undefined {
  const bare = text.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  if (isIPv4(bare)) return bare;
  return isIPv6(bare) ? new URL(`http://[${bare}]/`).hostname.slice(1, -1) : undefined;
}

/** An address, or a network such as `10.0.0.0/8`; undefined for what is neither. */
export function networkOf(text: string): { readonly address: string; readonly bits: number; readonly family: "ipv4" | "ipv6" } | undefined {
  const [bare = "", suffix, ...more] = text.split("/");
  const family = isIPv4(bare) ? "ipv4" : isIPv6(bare) && !bare.includes("%") ? "ipv6" : undefined;
  if (family === undefined || more.length > 0) return undefined;
  const width = family === "ipv4" ? 32 : 128;
  if (suffix !== undefined && !/^\d{1,3}$/.test(suffix)) return undefined;
  const bits = suffix === undefined ? width : Number(suffix);
  return bits <= width ? { address: bare, bits, family } : undefined;
}

/** Whether a canonical address belongs to the public internet. */
export function isPublic(address: string): boolean {
  if (isIPv4(address)) return !special.check(address, "ipv4");
  return global6.check(address, "ipv6") && !special.check(address, "ipv6");
}

/** Whether a canonical address is of this machine only. */
export function isLoopback(address: string): boolean {
  return isIPv4(address) ? address.startsWith("127.") : address === "::1";
}

/** Whether a canonical address is of this link only, which is where clouds have their metadata. */
export function isLinkLocal(address: string): boolean {
  return linkLocal.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}

/** Whether a canonical address is that of nobody in particular: unspecified, multicast or broadcast. */
export function isNobody(address: string): boolean {
  return nobody.check(address, isIPv4(address) ? "ipv4" : "ipv6");
}
