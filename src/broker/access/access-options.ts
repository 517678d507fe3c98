import { join } from "node:path";
import type { GatewayConfig } from "../../core/gateway-config.ts";
import type { TokenRules } from "./tokens.ts";

export interface AccessOptions {
  /** Folder of the gateway. */
  readonly data: string;
  readonly users: SettledFile;
  readonly rules: SettledFile;
  readonly certificateIdentity: "common-name" | "alternative-name";
  /** 0 for no audit log. */
  readonly auditBytesMax: number;
  /** Undefined for no tokens. */
  readonly tokens: (TokenRules & { readonly keys: string; readonly refreshMs: number }) | undefined;
}

interface SettledFile {
  readonly path: string;
  /** Whether the configuration names it. */
  readonly isNamed: boolean;
}

export function accessOptions({ data, mqtt }: Pick<GatewayConfig, "data" | "mqtt">): AccessOptions {
  const tokens = {
    keys: mqtt.jwt_keys,
    refreshMs: mqtt.jwt_refresh,
    algorithms: mqtt.jwt_algorithms,
    issuer: mqtt.jwt_issuer,
    audience: mqtt.jwt_audience,
    userClaim: mqtt.jwt_user_claim,
    groupsClaim: mqtt.jwt_groups_claim,
    leewayMs: mqtt.jwt_leeway,
  };
  return {
    data,
    users: settled(mqtt.users_file, join(data, "users.json")),
    rules: settled(mqtt.access_file, join(data, "access.yaml")),
    auditBytesMax: mqtt.audit_bytes_max,
    certificateIdentity: mqtt.certificate_identity,
    tokens: mqtt.jwt_keys === "" ? undefined : tokens,
  };
}

function settled(given: string, otherwise: string): SettledFile {
  return given === "" ? { path: otherwise, isNamed: false } : { path: given, isNamed: true };
}

/** A listener, as far as it matters to who can reach it. */
export interface Reached {
  readonly name: string;
  /** Undefined for a Unix socket. */
  readonly host: string | undefined;
  /** Whether it lets in clients that are no users and have no token: with a certificate, or without anything. */
  readonly letsIn: boolean;
}

/** Where clients reach the broker. */
export function reachedAt({ host, anonymous, listeners }: GatewayConfig["mqtt"]): readonly Reached[] {
  const further = Object.entries(listeners).map(([name, each]) => ({
    name,
    host: each.type === "unix" ? undefined : each.host,
    letsIn: each.anonymous === "all" || each.client_certificates !== "none",
  }));
  return [{ name: "default", host, letsIn: anonymous === "all" }, ...further];
}
