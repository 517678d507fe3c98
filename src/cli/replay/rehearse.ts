import type { ReplayResult } from "../../core/stats.ts";
import type { RecordedMessage } from "../../core/recording.ts";
import type { ReplayedPage } from "../../runtime/replays.ts";
import type { CommandContext } from "../command.ts";
import { effectLines } from "../invoke/effects.ts";
import { count, printable } from "../terminal/text.ts";
import { pagesOf, type Recorded } from "./recorded.ts";
import type { Stage } from "./stage.ts";

interface Tally {
  handled: number;
  failed: number;
  /** Messages that no trigger of the function matches. */
  others: number;
  interrupted: boolean;
}

type Output = Pick<CommandContext, "stdout" | "stderr" | "signal" | "json">;

/** Hands the messages to the function and prints what it would do. The answer is the exit code: 130 when interrupted, 1 when a handler failed. */
export async function rehearse(output: Output, recorded: Recorded, stage: Stage): Promise<number> {
  const tally: Tally = { handled: 0, failed: 0, others: 0, interrupted: false };
  try {
    for await (const { taken, results } of answers(pagesOf(recorded.messages()), stage, output.signal)) {
      tally.handled += results.length;
      tally.others += taken - results.length;
      for (const result of results) print(output, result, tally);
    }
  } catch (error) {
    if (!output.signal.aborted) throw error;
    tally.interrupted = true;
  }
  // With --json there is one object for each message and nothing else.
  if (!output.json) output.stdout(ending(stage.title, recorded.title, tally));
  if (tally.interrupted) return 130;
  return tally.failed > 0 ? 1 : 0;
}

async function* answers(
  pages: AsyncIterable<readonly RecordedMessage[]>,
  stage: Stage,
  signal: AbortSignal,
): AsyncGenerator<ReplayedPage, void, void> {
  for await (const page of pages) {
    for (let rest = page; rest.length > 0;) {
      signal.throwIfAborted();
      const answer = await stage.handle(rest);
      rest = rest.slice(answer.taken);
      yield answer;
    }
  }
}

function print({ json, stdout }: Output, result: ReplayResult, tally: Tally): void {
  if (!result.ok) tally.failed++;
  stdout(json ? `${JSON.stringify({ ...result, time: new Date(result.time).toISOString() })}\n` : replayText(result));
}

/** A line for the message, and below it what it would bring about. */
function replayText(result: ReplayResult): string {
  const { seq, time, topic } = result;
  const lines = [`#${seq}  ${new Date(time).toISOString()}  ${topic}`, ...effectLines(result).map((line) => `  ${line}`)];
  return lines.map((line) => `${printable(line)}\n`).join("");
}

function ending(title: string, from: string, { handled, failed, others, interrupted }: Tally): string {
  const messages = handled === 1 ? "1 message" : `${count(handled)} messages`;
  const parts = [
    `${messages} of ${from} handed to ${title}`,
    failed === 0 ? "" : `, ${count(failed)} failed`,
    others === 0 ? "" : `, ${count(others)} not for it`,
    interrupted ? ", stopped" : "",
    "; nothing was committed\n",
  ];
  return parts.join("");
}
