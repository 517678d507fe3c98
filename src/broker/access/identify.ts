import type { Arrival } from "../arrival.ts";
import { digestOf, OPERATORS, type Identity } from "./identity.ts";
import { Refused } from "./refused.ts";
import { looksLikeToken, type Tokens } from "./tokens.ts";
import type { Users } from "./users.ts";

export interface Credentials {
  readonly user: string | undefined;
  readonly password: Buffer | undefined;
  /** Whether it may still try, asked when its turn has come: others with the same name or address may have failed meanwhile. */
  readonly isFree?: () => boolean;
}

export interface Ways {
  readonly users: Users;
  readonly tokens: Tokens | undefined;
  readonly certificateIdentity: "common-name" | "alternative-name";
}

/**
 * Who a client is: by its certificate when it has one, then by a token, then by name and password. A name without anything that could prove it counts
 * for nothing.
 * @throws Refused
 */
export async function identify(ways: Ways, arrival: Arrival, { user, password, isFree }: Credentials): Promise<Identity> {
  const { users, tokens } = ways;
  if (arrival.certificate !== undefined) return certified(ways, arrival.certificate);
  const isKnown = users.areKept || tokens !== undefined;
  // Many clients cannot be told to send no name. Where nobody has one, it is as good as none.
  if (password === undefined || (!isKnown && arrival.anonymous)) return anonymous(arrival, user, isKnown);
  if (tokens !== undefined && looksLikeToken(password)) {
    const identity = await tokens.check(password.toString("latin1"));
    if (typeof identity === "string") throw new Refused("credentials", `the token is refused: ${identity}`);
    return identity;
  }
  const known = await users.check(user ?? "", password, isFree);
  if (known === "busy") throw new Refused("busy", "too many clients come in at once");
  if (known === "wrong") throw new Refused("credentials", "the user name or the password is wrong");
  return { user: user ?? "", groups: known.groups, proof: "password", passwordDigest: digestOf(known.password ?? "") };
}

function anonymous({ anonymous: allowed, isLocal }: Arrival, user: string | undefined, isKnown: boolean): Identity {
  if (!allowed) throw new Refused("anonymous", "clients have to say who they are here");
  if (isKnown && user !== undefined && user !== "") throw new Refused("credentials", "there is a user name and no password");
  return { user: undefined, groups: isLocal ? [OPERATORS] : [], proof: "none" };
}

function certified({ users, certificateIdentity }: Ways, { commonName, names }: NonNullable<Arrival["certificate"]>): Identity {
  const user = certificateIdentity === "common-name" ? commonName : firstName(names);
  if (user === undefined || user === "")
    throw new Refused("credentials", `the certificate has no ${certificateIdentity.replace("-", " ")}`);
  return { user, groups: users.get(user)?.groups ?? [], proof: "certificate" };
}

/**
 * Without its kind. Names of other kinds, such as those of directories, are passed over: Node does not say all of them, and what it says of two devices
 * could be the same. One in quotes is JSON.
 */
function firstName(names: readonly string[]): string | undefined {
  for (const name of names) {
    const [, text] = /^(?:DNS|URI|email|IP Address):(.+)$/is.exec(name) ?? [];
    if (text !== undefined) return text.startsWith('"') ? (JSON.parse(text) as string) : text;
  }
  return undefined;
}
