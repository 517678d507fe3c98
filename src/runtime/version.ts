import type { Bundle } from "../core/bundle.ts";
import { compilePermissions, type Permissions } from "../core/manifest.ts";
import { compileOutboxRules, type OutboxRule } from "../core/outbox-rules.ts";
import { parseTopicFilter, type TopicFilter } from "../core/topic.ts";
import type { LoadSpec } from "./host/frames.ts";
import { routingOf } from "./route.ts";

/** What a version of a function declares, ready for use. */
export class FunctionVersion {
  readonly bundle: Bundle;
  readonly version: number;
  readonly digest: string;
  /** Those of its triggers, in their order. */
  readonly filters: readonly TopicFilter[];
  /** What gives a message its key, as text. */
  readonly routing: string;
  readonly permissions: Permissions;
  /** How events of a type wait for the cloud. */
  readonly outboxRule: (type: string) => OutboxRule;

  constructor(target: { readonly version: number; readonly digest: string }, bundle: Bundle) {
    const { manifest } = bundle;
    this.bundle = bundle;
    this.version = target.version;
    this.digest = target.digest;
    this.filters = manifest.triggers.map((trigger) => parseTopicFilter(trigger.mqtt));
    this.routing = routingOf(this.filters, manifest.key);
    this.outboxRule = compileOutboxRules(manifest.outbox);
    this.permissions = compilePermissions(manifest.permissions);
  }

  get name(): string {
    return this.bundle.manifest.name;
  }
  get manifest(): Bundle["manifest"] {
    return this.bundle.manifest;
  }
}

/** What a host needs to make an isolate of this version. */
export function loadSpec(bundle: Bundle, filters: readonly TopicFilter[], about: { version: number; gateway: string }): LoadSpec {
  const { name, env, permissions, limits, order, concurrency } = bundle.manifest;
  return {
    name,
    env,
    version: about.version,
    gateway: about.gateway,
    code: bundle.code,
    triggers: filters.map((filter) => ({ names: [...filter.names] })),
    publish: permissions.publish,
    emit: permissions.emit,
    strict: order === "strict",
    memoryBytes: limits.memoryBytes,
    wallMs: limits.wallMs,
    outputBytes: limits.outputBytes,
    stateValueBytes: limits.stateValueBytes,
    fetchBytes: limits.fetchBytes,
    secrets: permissions.secrets,
    shared: concurrency === 1,
  };
}
