import { functionSubject } from "./identity.ts";
import { Permit } from "./permit.ts";
import type { Rule } from "./rules-file.ts";

/** What functions may publish by the access file, which can only take away from what their manifests allow. */
export class FunctionRules {
  readonly #rules: () => readonly Rule[] | undefined;
  /** What counted when somebody last asked. */
  #seen: readonly Rule[] | undefined;
  /** Whether any of them is about functions. */
  #any = false;
  readonly #permits = new Map<string, Permit>();

  /** `rules` gives another list when the file has changed. */
  constructor(rules: () => readonly Rule[] | undefined) {
    this.#rules = rules;
  }

  /** Why a function may not publish to the topic, or not a message that is kept, or undefined when it may. */
  publishProblem(name: string, topic: string, retain: boolean): string | undefined {
    const rules = this.#rules();
    if (rules !== this.#seen) this.#forget(rules);
    if (!this.#any) return undefined;
    const permit = this.#permitOf(name);
    if (permit.mayPublish(topic, retain)) return undefined;
    const publishing = permit.publishing(topic);
    return (publishing.allowed ? permit.retaining(topic) : publishing).why;
  }

  #permitOf(name: string): Permit {
    const known = this.#permits.get(name) ?? new Permit(functionSubject(name), this.#seen, true);
    this.#permits.set(name, known);
    return known;
  }

  #forget(rules: readonly Rule[] | undefined): void {
    this.#seen = rules;
    this.#any = rules?.some(({ who }) => who?.function !== undefined) === true;
    this.#permits.clear();
  }
}
