import type { Bundle } from "../core/bundle.ts";
import { compilePermissions, type Permissions } from "../core/manifest.ts";
import { compileOutboxRules, type OutboxRule } from "../core/outbox-rules.ts";
import type { TriggerFilter } from "../core/trigger-topic.ts";
import { filterOf } from "../core/trigger-filters.ts";
import { kindOf } from "../core/triggers.ts";
import type { LoadSpec } from "./host/frames.ts";
import { routingOf, type Trigger } from "./route.ts";

/** What a version of a function declares, ready for use. */
export class FunctionVersion {
  readonly bundle: Bundle;
  readonly version: number;
  readonly digest: string;
  /** Those of its triggers, in their order. */
  readonly filters: readonly TriggerFilter[];
  /** The same as routing needs them. */
  readonly triggers: readonly Omit<Trigger<never>, "owner">[];
  /** Whether it is woken by changes of its state. */
  readonly watchesState: boolean;
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
    this.filters = manifest.triggers.map((trigger) => filterOf(trigger, manifest.name));
    this.triggers = this.filters.map((filter, index) => {
      const trigger = manifest.triggers[index];
      const durable = trigger === undefined || !("durable" in trigger) || trigger.durable;
      return { index, filter, key: manifest.key, durable };
    });
    this.watchesState = manifest.triggers.some((trigger) => "state" in trigger);
    this.routing = routingOf(this.filters, manifest.key);
    this.outboxRule = compileOutboxRules(manifest.outbox);
    this.permissions = compilePermissions(manifest.permissions);
  }

  /** Filters of messages that have to wait for the function while it is not there. */
  get durableFilters(): readonly string[] {
    return this.triggers.filter(({ durable }) => durable).map(({ filter }) => filter.source);
  }
  /** Whether somebody waits for what becomes of messages of this trigger. */
  isAwaited(trigger: number): boolean {
    const spec = this.bundle.manifest.triggers[trigger];
    return spec !== undefined && "http" in spec && spec.answer === "sync";
  }
  get name(): string {
    return this.bundle.manifest.name;
  }
  get manifest(): Bundle["manifest"] {
    return this.bundle.manifest;
  }
}

/** What a host needs to make an isolate of this version. */
export function loadSpec(bundle: Bundle, filters: readonly TriggerFilter[], about: { version: number; gateway: string }): LoadSpec {
  const { name, env, permissions, limits, order, concurrency, triggers, batch, state } = bundle.manifest;
  return {
    name,
    env,
    version: about.version,
    gateway: about.gateway,
    code: bundle.code,
    triggers: triggers.map((trigger, index) => ({
      kind: kindOf(trigger),
      names: [...(filters[index]?.names ?? [])],
      answers: "http" in trigger && trigger.answer === "sync",
    })),
    publish: permissions.publish,
    emit: permissions.emit,
    batch: batch !== undefined,
    strict: order === "strict",
    memoryBytes: limits.memoryBytes,
    initMs: limits.initMs,
    wallMs: limits.wallMs,
    outputBytes: limits.outputBytes,
    stateValueBytes: limits.stateValueBytes,
    fetchBytes: limits.fetchBytes,
    secrets: permissions.secrets,
    shared: concurrency === 1,
    stateVersion: state?.version ?? 1,
  };
}
