import type { Observation } from "./attack.ts";

/** The neighbour's 99th percentile must stay below so many times what it is in quiet. */
const RATIO_MAX = 2;
/** Fewer say nothing about a 99th percentile. */
export const SAMPLES_MIN = 1_000;
/** The broker acknowledges what anybody sends within this time, whatever functions do. */
const ACK_MS_MAX = 1_000;

export interface Verdict {
  /** Wrong whatever the machine. */
  readonly problems: readonly string[];
  /** Too slow; empty when the times cannot be judged. */
  readonly slowness: readonly string[];
  readonly ratio: number | undefined;
}

export function judge(observation: Observation): Verdict {
  const { quiet, during } = observation;
  const judged = quiet !== undefined && quiet.samples >= SAMPLES_MIN && during.samples >= SAMPLES_MIN;
  const ratio = quiet === undefined ? undefined : during.p99 / quiet.p99;
  const slowness: string[] = [];
  if (judged && ratio !== undefined && ratio >= RATIO_MAX)
    slowness.push(`the neighbour's p99 is ${ratio.toFixed(1)} times its quiet value`);
  if (judged && during.ackMax > ACK_MS_MAX) slowness.push(`the broker took ${Math.round(during.ackMax)} ms to acknowledge a message`);
  return { problems: [...observation.complaints, ...mistold(observation), ...leaked(observation)], slowness, ratio };
}

/** Whether every message of the snippet has come to an end, and a person is told which. */
function mistold({ snippet, told, unsettled, stats }: Observation): string[] {
  const { expects } = snippet;
  const problems = unsettled > 0 ? [`${unsettled} of its messages are still waiting`] : [];
  const expected = new Set<string>(expects);
  const odd = Object.keys(told.letters).filter((code) => !expected.has(code));
  if (odd.length > 0)
    problems.push(`dead letters with ${odd.join(" and ")} instead of ${expects.join(" or ")}: ${told.text.slice(0, 200)}`);
  const harmless = expected.has("harmless") && stats?.state === "active";
  const named = told.codes.some((code) => expected.has(code));
  if (!harmless && !named && odd.length === 0) {
    const instead = told.text === "" ? "nothing" : `"${told.text.slice(0, 200)}"`;
    problems.push(`a person is told ${instead} instead of ${expects.join(" or ")}`);
  }
  return problems;
}

function leaked({ snippet, stats }: Observation): string[] {
  const out = (stats?.emitted ?? 0) + (stats?.published ?? 0);
  return snippet.mute === true && out > 0 ? [`${out} events and publishes got out`] : [];
}
