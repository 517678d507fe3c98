import { topicProblem } from "../core/topic.ts";
import { TopicMemory } from "../core/topic-memory.ts";

/** Remembers which topics were found valid: sensors use the same ones over and over. */
export class KnownTopics {
  readonly #valid = new TopicMemory<true>();

  /** Why the topic cannot be published to, or undefined when it can. */
  problem(topic: string): string | undefined {
    if (this.#valid.get(topic) === true) return undefined;
    const problem = topicProblem(topic);
    if (problem === undefined) this.#valid.set(topic, true);
    return problem;
  }
}
