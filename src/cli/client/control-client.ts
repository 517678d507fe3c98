import { verifyDigest } from "../../core/bundle.ts";
import {
  controlApi,
  type ControlStats,
  DIGEST_HEADER,
  type EventsPage,
  type FunctionInfo,
  type GatewayInfo,
  type Published,
} from "../../core/control-api.ts";
import { ask, open, queryOf, type Remote, remote, unreachable } from "./http.ts";

const DOWNLOAD_MS_MAX = 60_000;

export const DEFAULT_CONTROL = "http://127.0.0.1:8340";

export interface EventFilter {
  readonly function?: string | undefined;
  readonly gateway?: string | undefined;
  readonly type?: string | undefined;
}

export interface EventQuery extends EventFilter {
  readonly after?: number | undefined;
  readonly limit?: number | undefined;
  readonly order?: "asc" | "desc" | undefined;
}

/** The control plane's API as its caller sees it. Everything throws CONTROL_UNREACHABLE or what the control plane answers. */
export class ControlClient {
  readonly #remote: Remote;
  readonly #signal: AbortSignal;

  /** @throws MillraceError USAGE when `address` is none */
  constructor(address: string, signal: AbortSignal) {
    this.#remote = remote(address, { flag: "--control", what: "a control plane", unreachable: "CONTROL_UNREACHABLE" });
    this.#signal = signal;
  }

  /** `bytes` is an encoded bundle, `digest` its sha256. */
  publish(name: string, bytes: Uint8Array<ArrayBuffer>, digest: string): Promise<Published> {
    return ask(this.#remote, {
      path: pathOf(name),
      schema: controlApi.published,
      signal: this.#signal,
      method: "PUT",
      headers: { "content-type": "application/octet-stream", [DIGEST_HEADER]: digest },
      body: bytes,
    });
  }

  /** The bytes of a version, checked against their digest. @throws MillraceError NOT_FOUND, DIGEST_MISMATCH, CONTROL_UNREACHABLE */
  async bundle(name: string, version: number): Promise<Uint8Array> {
    const limit = AbortSignal.any([this.#signal, AbortSignal.timeout(DOWNLOAD_MS_MAX)]);
    const response = await open(this.#remote, { path: `${pathOf(name)}/versions/${version}/bundle`, signal: limit });
    const bytes = await response.bytes().catch((cause: unknown) => {
      throw unreachable(this.#remote, cause);
    });
    verifyDigest(bytes, response.headers.get(DIGEST_HEADER) ?? "");
    return bytes;
  }

  async remove(name: string): Promise<void> {
    await ask(this.#remote, { path: pathOf(name), schema: controlApi.removed, signal: this.#signal, method: "DELETE" });
  }

  functions(): Promise<FunctionInfo[]> {
    return ask(this.#remote, { path: "/v1/functions", schema: controlApi.functions, signal: this.#signal });
  }

  gateways(): Promise<GatewayInfo[]> {
    return ask(this.#remote, { path: "/v1/gateways", schema: controlApi.gateways, signal: this.#signal });
  }

  events(query: EventQuery): Promise<EventsPage> {
    return ask(this.#remote, { path: `/v1/events${queryOf({ ...query })}`, schema: controlApi.events, signal: this.#signal });
  }

  stats(): Promise<ControlStats> {
    return ask(this.#remote, { path: "/v1/stats", schema: controlApi.stats, signal: this.#signal });
  }
}

function pathOf(name: string): string {
  return `/v1/functions/${encodeURIComponent(name)}`;
}
