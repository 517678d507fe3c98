import { isIP } from "node:net";

interface Asked {
  /** The web page that asks, or what a program says in its place; undefined when nothing is said. */
  readonly origin: string | undefined;
  /** The address that was asked for. */
  readonly host: string | undefined;
  readonly isSecure: boolean;
}

/** Browsers let a page connect to where it did not come from; it must not get at what listens on the user's own machine. */
export function mayConnect(origins: "any" | ReadonlySet<string>, asked: Asked): boolean {
  return asked.origin === undefined || origins === "any" || origins.has(asked.origin) || isOwnAddress(asked);
}

/**
 * Some libraries say the address that they connect to as their origin, with `https` in any case, as Paho for Python does. No page is served there. But whoever
 * serves a page at the same port can point the name of it here (DNS rebinding), so the name has to be an address, or bound to us by a certificate.
 */
function isOwnAddress({ origin = "", host = "", isSecure }: Asked): boolean {
  const [, scheme, place] = /^(https?):\/\/(.+)$/i.exec(origin) ?? [];
  if (place?.toLowerCase() !== host.toLowerCase()) return false;
  if (isSecure) return scheme?.toLowerCase() === "https";
  const name = URL.parse(origin)?.hostname.replace(/^\[|\]$/g, "");
  return name === "localhost" || (name !== undefined && isIP(name) > 0);
}
