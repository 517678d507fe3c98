/** Topics that are surely remembered when they are used in turn; as many older ones may be there too. */
const TOPICS_MAX = 32_768;
/** Longer ones are not worth the memory. */
const LENGTH_MAX = 256;

/**
 * What was found out about topics: sensors publish to the same ones over and over. Of more topics than it remembers, those go that were not asked for
 * longest, many at a time; and none of them can be so long that clients fill the memory with their names.
 */
export class TopicMemory<T extends object | boolean> {
  readonly #max: number;
  #recent = new Map<string, T>();
  #older = new Map<string, T>();

  constructor(max: number = TOPICS_MAX) {
    this.#max = max;
  }

  get(topic: string): T | undefined {
    const known = this.#recent.get(topic);
    if (known !== undefined || this.#older.size === 0) return known;
    const older = this.#older.get(topic);
    if (older !== undefined) this.set(topic, older);
    return older;
  }

  set(topic: string, value: T): void {
    if (topic.length > LENGTH_MAX) return;
    if (this.#recent.size >= this.#max) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(topic, value);
  }

  clear(): void {
    if (this.#recent.size > 0) this.#recent = new Map();
    if (this.#older.size > 0) this.#older = new Map();
  }
}
