import { storedText } from "../core/state-value.ts";

/** Of one answer, roughly. A host takes no frame of more than 256 MB, and an isolate has less memory than that. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;
const KEYS_AT_ONCE = 32;

type Load = (key: string) => Promise<readonly { readonly name: string; readonly value: Buffer }[]>;

/**
 * What is kept under these keys, as the JSON that an isolate is answered with. When the answer gets too large, the keys behind are `null`: they are
 * asked for again when they are needed. The first one is always there.
 */
export async function stateAnswer(keys: readonly string[], load: Load): Promise<string> {
  const answer: Record<string, [string, string][] | null> = Object.create(null) as Record<string, [string, string][] | null>;
  let bytes = 0;
  for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
    const some = keys.slice(at, at + KEYS_AT_ONCE);
    if (bytes >= ANSWER_BYTES_MAX) {
      for (const key of some) answer[key] = null;
      continue;
    }
    const found = await Promise.all(some.map(load));
    for (const [index, key] of some.entries()) {
      const entries = found[index] ?? [];
      if (bytes >= ANSWER_BYTES_MAX) answer[key] = null;
      else if (entries.length > 0) answer[key] = entries.map(({ name, value }) => [name, storedText(value)]);
      if (answer[key] !== null) bytes += entries.reduce((sum, { name, value }) => sum + name.length + value.length, 0);
    }
  }
  return JSON.stringify(answer);
}
