import { closest, distance } from "fastest-levenshtein";

/** Longer words are no slips of a person, and comparing them takes time with the square of their length. */
const WORD_CHARS_MAX = 200;

/** The candidate that someone who typed `word` most likely meant, or undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const short = candidates.filter(({ length }) => length <= WORD_CHARS_MAX);
  if (short.length === 0 || word.length > WORD_CHARS_MAX) return undefined;
  const best = closest(word, short);
  return distance(word, best) <= Math.max(2, Math.floor(word.length / 3)) ? best : undefined;
}

/** ` (did you mean "x"?)`, or the short list of what is valid, or nothing; to be appended to an error message. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates);
  if (near !== undefined) return `; did you mean "${near}"?`;
  return candidates.length > 0 && candidates.length <= 12 ? `; valid here: ${candidates.join(", ")}` : "";
}
