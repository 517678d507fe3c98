import type { ConfigTable } from "./config-table.ts";

/** How tokens may be signed: with a key of which the gateway only needs the public half. */
const TOKEN_ALGORITHMS = ["ES256", "ES384", "ES512", "EdDSA", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];

/** Who may come in and do what at the broker. Part of the table of the gateway. */
export const ACCESS_TABLE = {
  "mqtt.users_file": {
    type: "string",
    default: "",
    defaultText: "`users.json` in the data folder",
    description: "File with the users of the broker and their hashed passwords, which `millrace users` changes.",
  },
  "mqtt.access_file": {
    type: "string",
    default: "",
    defaultText: "`access.yaml` in the data folder, if it is there",
    description:
      "File with the rules that say who may publish, subscribe and retain what. " +
      "Without one clients on loopback and Unix sockets may do everything and others nothing.",
  },
  "mqtt.audit_bytes_max": {
    type: "size",
    default: 8 * 1024 ** 2,
    min: 0,
    max: 1024 ** 3,
    description:
      "Who came in, went and was refused, and changes of these files, in `audit.log` of the data folder and the file before it; `0B` for none.",
  },
  "mqtt.certificate_identity": {
    type: "string",
    default: "common-name",
    choices: ["common-name", "alternative-name"],
    description: "Which part of a client certificate is the user: the common name of its subject, or the first of its alternative names.",
  },
  "mqtt.jwt_keys": {
    type: "string",
    default: "",
    check: keysProblem,
    description:
      "JWKS with the keys of signed tokens (JWT) that clients send as their password: a file or an `https:` address. Empty for no tokens.",
  },
  "mqtt.jwt_refresh": {
    type: "duration",
    default: 600_000,
    min: 10_000,
    max: 7 * 86_400_000,
    description:
      "How old a set of keys from an address may be before it is fetched again. When that fails, the one before goes on to count.",
  },
  "mqtt.jwt_algorithms": {
    type: "list",
    default: ["ES256", "EdDSA", "RS256", "PS256"],
    description: `How tokens may be signed; of ${TOKEN_ALGORITHMS.join(", ")}.`,
  },
  "mqtt.jwt_issuer": { type: "string", default: "", description: "The `iss` that a token must have; empty for any." },
  "mqtt.jwt_audience": { type: "string", default: "", description: "An `aud` that a token must have; empty for any." },
  "mqtt.jwt_user_claim": { type: "string", default: "sub", description: "The claim that is the user." },
  "mqtt.jwt_groups_claim": { type: "string", default: "groups", description: "The claim with the list of groups." },
  "mqtt.jwt_leeway": {
    type: "duration",
    default: 30_000,
    min: 0,
    max: 600_000,
    description: "How far the clock of who signs tokens and the gateway's may be apart, for `exp` and `nbf`.",
  },
} as const satisfies ConfigTable;

/** Why the algorithms cannot be those of tokens, or undefined when they can. */
export function algorithmsProblem(algorithms: readonly string[]): string | undefined {
  if (algorithms.length === 0) return "mqtt.jwt_algorithms: it names none";
  const unknown = algorithms.find((name) => !TOKEN_ALGORITHMS.includes(name));
  return unknown === undefined ? undefined : `mqtt.jwt_algorithms: "${unknown}" is none of ${TOKEN_ALGORITHMS.join(", ")}`;
}

function keysProblem(text: string): string | undefined {
  if (!/^[a-z][a-z\d+.-]+:/i.test(text)) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "https:") return undefined;
  if (url?.protocol === "http:" && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)) return undefined;
  return `"${text}" is neither a file nor an address such as https://login.example.com/jwks.json`;
}
