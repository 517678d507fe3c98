import { LANES, OVERFLOWS_PER_PRIORITY, PRIORITY_MAX, priorityOf } from "../core/outbox-lanes.ts";

/** What waited when the link came up, and what came later. */
export type Stream = "backlog" | "live";

/** Where a batch comes from: what of a lane is behind `after`, up to and with `last`. */
export interface Stretch {
  readonly stream: Stream;
  readonly lane: number;
  readonly after: number;
  readonly last: number;
}

/** For each lane: where `backlog` goes on and where it ends, and where `live` goes on. For each priority: which lane had the last turn. */
export interface Cursors {
  readonly backlog: readonly number[];
  readonly ends: readonly number[];
  readonly live: readonly number[];
  readonly turns: Readonly<Record<Stream, readonly (number | undefined)[]>>;
}

/** How much the backlog is behind with its share, in percent of a batch; it has a turn at 100. */
export type Contention = number;

const NO_TURNS = Array.from({ length: PRIORITY_MAX + 1 }, () => undefined);

export const NO_CURSORS: Cursors = { backlog: [], ends: [], live: [], turns: { live: NO_TURNS, backlog: NO_TURNS } };

/** All that there is up to these positions is backlog. */
export function cursorsFrom(tails: readonly number[]): Cursors {
  return { ...NO_CURSORS, backlog: tails.map(() => 0), ends: [...tails], live: [...tails] };
}

/** Past what was sent. */
export function advance(cursors: Cursors, { stream, lane, last }: Stretch): Cursors {
  const turns = { ...cursors.turns, [stream]: cursors.turns[stream].with(priorityOf(lane), lane) };
  return { ...cursors, [stream]: cursors[stream].with(lane, last), turns };
}

/** Back to before everything that was on its way. */
export function rewind(cursors: Cursors, flights: readonly Stretch[]): Cursors {
  const back = { backlog: [...cursors.backlog], live: [...cursors.live] };
  for (const { stream, lane, after } of flights) back[stream][lane] = Math.min(back[stream][lane] ?? 0, after);
  return { ...cursors, ...back };
}

/**
 * The most urgent priority in which anything waits; in it live before backlog, except for the backlog's share of the batches while there is
 * both; of these the lanes in turn.
 */
export function chooseStream(
  cursors: Cursors,
  tails: readonly number[],
  contention: Contention,
  backlogShare: number,
): { stretch: Stretch; contention: Contention } | undefined {
  for (let first = 0; first < LANES; first += OVERFLOWS_PER_PRIORITY) {
    const live = waiting("live", first, cursors, tails);
    const backlog = waiting("backlog", first, cursors, cursors.ends);
    if (live === undefined || backlog === undefined) {
      const stretch = live ?? backlog;
      if (stretch !== undefined) return { stretch, contention };
      continue;
    }
    const owed = contention + backlogShare;
    return owed >= 100 ? { stretch: backlog, contention: owed - 100 } : { stretch: live, contention: owed };
  }
  return undefined;
}

function waiting(stream: Stream, first: number, cursors: Cursors, ends: readonly number[]): Stretch | undefined {
  const turn = cursors.turns[stream][priorityOf(first)] ?? first - 1;
  for (let n = 1; n <= OVERFLOWS_PER_PRIORITY; n++) {
    const lane = first + ((turn - first + n) % OVERFLOWS_PER_PRIORITY);
    const after = cursors[stream][lane] ?? 0;
    const last = ends[lane] ?? 0;
    if (last > after) return { stream, lane, after, last };
  }
  return undefined;
}
