import { lookup as systemLookup, type LookupAddress } from "node:dns";
import { isIP } from "node:net";

/** Names that are being looked up. The system does it on few threads, and has no way to stop. */
const LOOKUPS_MAX = 32;

/** All addresses of a name, in the order in which they are to be tried. */
export type Lookup = (name: string) => Promise<readonly LookupAddress[]>;

/** Looks names up with the system's resolver; who asks for the same name meanwhile gets the same answer. */
export class Names {
  readonly #lookup: Lookup;
  readonly #open = new Map<string, Promise<readonly LookupAddress[]>>();

  constructor(lookup: Lookup = addressesOf) {
    this.#lookup = lookup;
  }

  /** @throws Error when the name has no address or too many are being looked up */
  async addresses(name: string): Promise<readonly LookupAddress[]> {
    const address = name.replace(/^\[|\]$/g, "");
    const family = isIP(address);
    if (family !== 0) return [{ address, family }];
    let open = this.#open.get(name);
    if (open === undefined) {
      if (this.#open.size >= LOOKUPS_MAX) throw new Error("too many names are being looked up");
      open = this.#lookup(name).finally(() => this.#open.delete(name));
      this.#open.set(name, open);
    }
    return open;
  }
}

function addressesOf(name: string): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(name, { all: true }, (error, found) => (error === null ? resolve(found) : reject(error)));
  });
}
