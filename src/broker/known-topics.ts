import { topicProblem } from "../core/topic.ts";

const TOPICS_MAX = 10_000;

/** Remembers which topics were found valid: sensors use the same ones over and over. */
export class KnownTopics {
  readonly #valid = new Set<string>();

  /** Why the topic cannot be published to, or undefined when it can. */
  problem(topic: string): string | undefined {
    if (this.#valid.has(topic)) return undefined;
    const problem = topicProblem(topic);
    if (problem === undefined) {
      if (this.#valid.size >= TOPICS_MAX) this.#valid.clear();
      this.#valid.add(topic);
    }
    return problem;
  }
}
