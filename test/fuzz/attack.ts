import { setTimeout as sleep } from "node:timers/promises";
import { Answers, hex } from "./answers.ts";
import { type Addresses, type Line, openTcp, openWebSocket } from "./line.ts";
import type { Plan } from "./plan.ts";

/** How long the broker waits for a CONNECT. */
const CONNECT_MS_MAX = 10_000;
/** For a machine that does other work as well: what comes later is counted as never. */
const SLACK_MS = 30_000;
/** Longer keep-alive times are not waited for. */
const KEEP_ALIVE_MS_MAX = 10_000;
const DEAF_MS = 2_000;
/** How long a connection is kept for further answers, after the one that it has to get. */
const ANSWERS_MS = 1_000;

const PINGREQ = Buffer.from([0xc0, 0]);

export interface Outcome {
  readonly plan: Plan;
  /** How the connection came to its end, such as `disconnected with 0x82`. */
  readonly how: string;
  readonly problem?: string;
  readonly acknowledged: Answers["acknowledged"];
}

/** Carries out a plan, and says how it ended. */
export async function attack(plan: Plan, addresses: Addresses): Promise<Outcome> {
  const answers = new Answers(plan.sent);
  const line = await open(plan, addresses, (bytes) => answers.take(bytes));
  try {
    if (plan.isDeaf) line.pause();
    await send(plan.opening, plan, line);
    if (plan.waits && !plan.isDeaf) await follow(line, answers)(() => line.isClosed || answers.code !== undefined, CONNECT_MS_MAX);
    await send(plan.chunks, plan, line);
    const { how, problem = answers.garbage } = await ended(plan, line, answers);
    return { plan, how, acknowledged: answers.acknowledged, ...(problem === undefined ? {} : { problem }) };
  } finally {
    line.reset();
  }
}

function open({ transport, address, dice }: Plan, to: Addresses, take: (bytes: Buffer) => void): Promise<Line> {
  if (transport === "tcp") return openTcp(to.tcp, address, take);
  return openWebSocket(to.webSocket, address, take, transport === "web socket with tricks" ? dice : undefined);
}

async function send(chunks: readonly Buffer[], { dice }: Plan, line: Line): Promise<void> {
  for (const chunk of chunks) {
    if (line.isClosed) return;
    line.write(chunk);
    if (dice.chance(0.6)) await new Promise((resolve) => setImmediate(resolve));
    else if (dice.chance(0.2)) await sleep(dice.below(20));
  }
}

interface End {
  readonly how: string;
  readonly problem?: string;
}

async function ended(plan: Plan, line: Line, answers: Answers): Promise<End> {
  if (plan.end === "reset") return { how: "left at once" };
  if (plan.isDeaf) {
    await Promise.race([line.closed, sleep(DEAF_MS)]);
    return { how: "did not read" };
  }
  if (plan.end === "close") {
    line.close();
    return (await happens(line, () => line.isClosed, SLACK_MS))
      ? { how: "left in order" }
      : { how: "half open", problem: "it had ended its side, and the broker did not" };
  }
  return answered(plan, line, answers);
}

/** The broker has to answer, or to close the connection in the time that it has for that. */
async function answered(plan: Plan, line: Line, answers: Answers): Promise<End> {
  const { transport, sent, end } = plan;
  const isDone = (): boolean => line.isClosed;
  const isAnswered = (): boolean => isDone() || answers.code !== undefined || answers.garbage !== undefined;
  const heard = follow(line, answers);
  if (!(await heard(isAnswered, CONNECT_MS_MAX + SLACK_MS)))
    return { how: "half open", problem: "no CONNECT was taken, and the connection was not closed" };
  const keepAliveMs = (sent.connect?.keepAlive ?? 0) * 1_500;
  // Frames that are broken or cut may leave anything unfinished.
  const isWhole = sent.open === 0 && transport !== "web socket with tricks";
  if (isWhole && answers.isAccepted && end === "ask") {
    line.write(PINGREQ);
    const pings = sent.pings + 1;
    if (!(await heard(() => isDone() || answers.pongs >= pings, SLACK_MS)))
      return { how: "half open", problem: `${answers.pongs} of ${pings} PINGREQ were answered, and the connection was not closed` };
    // A PINGREQ overtakes what waits for the disk. Not everything gets an answer: what is denied to old clients, or was sent before.
    await heard(() => isDone() || answers.answered >= sent.publishes.size, ANSWERS_MS);
  } else if (keepAliveMs > 0 && keepAliveMs <= KEEP_ALIVE_MS_MAX) {
    if (!(await heard(isDone, keepAliveMs + SLACK_MS)))
      return { how: "half open", problem: "it was silent for longer than its keep alive, and was not cut off" };
  } else if (!answers.isAccepted && !(await heard(isDone, SLACK_MS)))
    return { how: "half open", problem: `CONNACK said ${hex(answers.code ?? 0)}, and the connection was not closed` };
  return { how: wordsFor(line, answers, sent.connect?.keepAlive ?? 0) };
}

function wordsFor({ isClosed }: Line, { code, reason, isAccepted, pongs }: Answers, keepAlive: number): string {
  if (code !== undefined && !isAccepted) return `CONNACK ${hex(code)}`;
  if (reason !== undefined) return `DISCONNECT ${hex(reason)}`;
  if (isClosed) return code === undefined ? "closed before CONNACK" : "closed after CONNACK";
  if (pongs > 0) return "answered to the end";
  return keepAlive === 0 ? "may wait: no keep alive" : "may wait: within its keep alive";
}

/** Whether it happens in time. */
async function happens(line: Line, check: () => boolean, ms: number): Promise<boolean> {
  await Promise.race([line.closed, sleep(ms)]);
  return check();
}

function follow(line: Line, answers: Answers): (check: () => boolean, ms: number) => Promise<boolean> {
  return async (check, ms) => {
    if (check()) return true;
    const stop = new AbortController();
    const changed = new Promise<void>((resolve) => {
      answers.changed = () => {
        if (check()) resolve();
      };
    });
    await Promise.race([changed, line.closed, sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined)]); // Aborted when it is not needed any more.
    stop.abort();
    return check();
  };
}
