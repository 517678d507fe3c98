import { BlockList, isIPv4, isIPv6 } from "node:net";
import { canonicalAddress } from "../../core/addresses.ts";

/** Says of a canonical address whether it is within `10.0.0.0/8`, `fd00::/8` or is `192.168.1.7`. Undefined when the text is none of these. */
export function addressRange(text: string): ((address: string) => boolean) | undefined {
  const [net = "", bits, more] = text.split("/");
  const address = canonicalAddress(net);
  if (address === undefined || more !== undefined || net.includes("[") || net.includes("%")) return undefined;
  const kind = kindOf(address);
  const width = kind === "ipv4" ? 32 : 128;
  const length = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
  // A range of mapped addresses would count bits of the longer form.
  if (Number.isNaN(length) || length > width || (kind === "ipv4" && !isIPv4(net)) || (kind === "ipv6" && !isIPv6(net))) return undefined;
  const list = new BlockList();
  list.addSubnet(address, length, kind);
  return (other) => list.check(other, kindOf(other));
}

function kindOf(address: string): "ipv4" | "ipv6" {
  return isIPv4(address) ? "ipv4" : "ipv6";
}
