import { errors, type JWTPayload, jwtVerify } from "jose";
import type { Clock } from "../../core/clock.ts";
import type { Identity } from "./identity.ts";
import type { KeySet } from "./key-set.ts";

export interface TokenRules {
  readonly algorithms: readonly string[];
  /** Empty for any. */
  readonly issuer: string;
  readonly audience: string;
  readonly userClaim: string;
  readonly groupsClaim: string;
  readonly leewayMs: number;
}

const TOKEN_BYTES_MAX = 16 * 1024;
const GROUPS_MAX = 100;
const USER_CHARS_MAX = 256;
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Whether what a client sent as its password has the form of a signed token (RFC 7515, 3.1). */
export function looksLikeToken(password: Buffer): boolean {
  return password.length <= TOKEN_BYTES_MAX && COMPACT.test(password.toString("latin1"));
}

/** Says who a signed token (RFC 7519) is about. */
export class Tokens {
  readonly #keys: KeySet;
  readonly #rules: TokenRules;
  readonly #clock: Pick<Clock, "now">;

  constructor(keys: KeySet, rules: TokenRules, clock: Pick<Clock, "now">) {
    this.#keys = keys;
    this.#rules = rules;
    this.#clock = clock;
  }

  /** An identity, or what is wrong with the token; never a part of it. */
  async check(token: string): Promise<Identity | string> {
    const { algorithms, issuer, audience, leewayMs, userClaim } = this.#rules;
    try {
      const { payload } = await jwtVerify(token, this.#keys.find, {
        algorithms: [...algorithms],
        clockTolerance: leewayMs / 1_000,
        currentDate: new Date(this.#clock.now()),
        requiredClaims: ["exp", userClaim],
        ...(issuer === "" ? {} : { issuer }),
        ...(audience === "" ? {} : { audience }),
      });
      return this.#identityOf(payload);
    } catch (error) {
      return problemOf(error);
    }
  }

  #identityOf(payload: JWTPayload): Identity | string {
    const { userClaim, groupsClaim, leewayMs } = this.#rules;
    const user = payload[userClaim];
    if (typeof user !== "string" || user === "" || user.length > USER_CHARS_MAX) return `its claim "${userClaim}" is no name`;
    const groups = payload[groupsClaim] ?? [];
    if (!isTexts(groups) || groups.length > GROUPS_MAX) return `its claim "${groupsClaim}" is no list of at most ${GROUPS_MAX} names`;
    return { user, groups, proof: "token", until: (payload.exp ?? 0) * 1_000 + leewayMs };
  }
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function problemOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "its time is over";
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim "${error.claim}" is missing or not as it has to be`;
  if (error instanceof errors.JOSEAlgNotAllowed) return "it is signed in a way that is not allowed";
  if (error instanceof errors.JWKSNoMatchingKey) return "the key that it is signed with is not known";
  if (error instanceof errors.JOSEError) return "it is not signed with a key that is known, or is no token";
  throw error;
}
