/** A stretch of the journal, up to the first message of the next one. */
export interface Segment {
  /** Seq of its first message. */
  readonly first: number;
  /** Bytes of everything that was ever appended before it. */
  readonly bytes: number;
  /** The highest time of any message before it, in milliseconds since the epoch; a clock may have been set back since. */
  readonly latest: number;
  /** Time of its first message. */
  readonly time: number;
}

export interface RetentionRules {
  /** Every function is done with the messages below this seq. */
  readonly consumed: number;
  /** Consumed messages of this time and before are not kept; milliseconds since the epoch. */
  readonly notAfter: number;
  /** Consumed messages that are kept at most. */
  readonly bytes: number;
}

/**
 * How many segments, from the oldest on, are to be deleted. A segment goes when all of it is consumed, and all of it is too old or the
 * consumed ones are too many. The last one stays, because the journal goes on in it.
 */
export function expired(segments: readonly Segment[], rules: RetentionRules): number {
  const consumed = consumedSegments(segments, rules.consumed);
  const end = segments[consumed]?.bytes ?? 0;
  let count = 0;
  while (count < consumed) {
    const tooOld = (segments[count + 1]?.latest ?? Infinity) <= rules.notAfter;
    const tooMany = end - (segments[count]?.bytes ?? end) > rules.bytes;
    if (!tooOld && !tooMany) break;
    count++;
  }
  return count;
}

/** How many segments, from the oldest on, hold consumed messages only; never the last. */
export function consumedSegments(segments: readonly Segment[], consumed: number): number {
  let count = 0;
  while (count + 1 < segments.length && (segments[count + 1]?.first ?? Infinity) <= consumed) count++;
  return count;
}

/** The seq from which on the journal has at most `bytes`, or the beginning of its last segment; `end` is the bytes of everything ever appended. */
export function floorForBytes(segments: readonly Segment[], end: number, bytes: number): number {
  const segment = segments.find((each) => end - each.bytes <= bytes) ?? segments.at(-1);
  return segment?.first ?? 0;
}

/** The segment with the first message of `timeMs` or later; undefined when there is none. `latest` is the highest time of all messages. */
export function segmentOfTime(segments: readonly Segment[], latest: number, timeMs: number): Segment | undefined {
  return segments.find((_, index) => (segments[index + 1]?.latest ?? latest) >= timeMs);
}
