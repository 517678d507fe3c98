import { damage, DAMAGE_NAMES, mistake, MISTAKE_NAMES } from "./damage.ts";
import { Dice } from "./dice.ts";
import { encode } from "./draft.ts";
import { connect, packet, type Speaker, type Version } from "./grammar.ts";
import { readSent, type Sent } from "./sent.ts";

const HOW_TO_START = {
  connect: 78,
  "damaged CONNECT": 9,
  "client id of 64 KB": 1,
  "no client id": 2,
  "nothing at all": 0.5,
  "a packet before CONNECT": 3,
  HTTP: 1,
  garbage: 2,
  "version 6": 1,
} as const;

const TRANSPORTS = { tcp: 7, "web socket": 3, "web socket with tricks": 1 } as const;

/** How a connection ends, unless the broker has ended it: with a question that has to be answered, at once, in order, or by saying nothing more. */
const ENDS = { ask: 75, reset: 12, close: 8, silence: 5 } as const;

/** What one client does. It depends on the seed and the index alone. */
export interface Plan {
  readonly index: number;
  /** Of the loopback range, so that limits for one address do not count for all. */
  readonly address: string;
  readonly transport: keyof typeof TRANSPORTS;
  readonly start: keyof typeof HOW_TO_START;
  /** How many packets are wrong, by what is wrong. */
  readonly wrong: ReadonlyMap<string, number>;
  /** What it begins with, in pieces. */
  readonly opening: readonly Buffer[];
  /** Whether it waits for a CONNACK before it goes on, as most clients do. */
  readonly waits: boolean;
  readonly chunks: readonly Buffer[];
  readonly sent: Sent;
  /** It does not read. */
  readonly isDeaf: boolean;
  readonly end: keyof typeof ENDS;
  /** For what is left to chance while it is carried out. */
  readonly dice: Dice;
}

export function planOf(seed: number, index: number): Plan {
  const dice = new Dice(seed, index);
  const version = dice.pick<Version>([3, 4, 4, 5, 5, 5]);
  const isReturning = dice.chance(0.2);
  const clientId = isReturning ? `fuzz-again-${dice.below(12)}` : `fuzz-${seed}-${index}`;
  const speaker: Speaker = { dice, version, clientId, name: `${seed}.${index}`, id: dice.chance(0.05) ? 65_530 : 0, messages: 0 };
  const wrong = new Map<string, number>();
  const note = (kind: string): void => void wrong.set(kind, (wrong.get(kind) ?? 0) + 1);
  const start = dice.weighted(HOW_TO_START);
  const isDeaf = dice.chance(0.02);
  const opening = begin(start, speaker, { isReturning, isDeaf });
  const rest = Buffer.concat(packets(speaker, note));
  return {
    index,
    address: `127.${1 + dice.below(250)}.${dice.below(250)}.${1 + dice.below(250)}`,
    transport: dice.weighted(TRANSPORTS),
    start,
    wrong,
    opening: cut(dice, opening),
    waits: start === "connect" && dice.chance(0.7),
    chunks: cut(dice, rest),
    sent: readSent(Buffer.concat([opening, rest])),
    isDeaf,
    end: dice.weighted(ENDS),
    dice,
  };
}

function begin(start: Plan["start"], speaker: Speaker, how: { isReturning: boolean; isDeaf: boolean }): Buffer {
  const { dice } = speaker;
  const keepAlive = how.isDeaf ? 1 : dice.pick([0, 1, 1, 2, 2, 60, 65_535]);
  const plan = { keepAlive, clean: !how.isReturning || dice.chance(0.3) };
  switch (start) {
    case "connect":
      return encode(connect(speaker, plan));
    case "damaged CONNECT":
      return damage(dice.pick(DAMAGE_NAMES), dice, connect(speaker, plan));
    case "client id of 64 KB":
      return encode(connect({ ...speaker, clientId: "i".repeat(65_000) }, plan));
    case "no client id":
      return encode(connect({ ...speaker, clientId: "" }, plan));
    case "nothing at all":
      return Buffer.alloc(0);
    case "a packet before CONNECT":
      return Buffer.concat([encode(packet(speaker)), encode(connect(speaker, plan))]);
    case "HTTP":
      return Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    case "garbage":
      return dice.bytes(1 + dice.below(64));
    case "version 6":
      break;
  }
  const bytes = encode(connect({ ...speaker, version: 4 }, plan));
  bytes[bytes.indexOf("MQTT") + 4] = dice.pick([0, 1, 2, 6, 127, 255]);
  return bytes;
}

function packets(speaker: Speaker, note: (kind: string) => void): Buffer[] {
  const { dice } = speaker;
  const share = dice.pick([0, 0.05, 0.05, 0.3]);
  return Array.from({ length: dice.below(dice.chance(0.1) ? 100 : 12) }, () => {
    if (dice.chance(share / 2)) {
      const kind = dice.pick(MISTAKE_NAMES);
      note(kind);
      return mistake(kind, speaker);
    }
    const draft = packet(speaker);
    if (!dice.chance(share)) return encode(draft);
    const kind = dice.pick(DAMAGE_NAMES);
    note(kind);
    return damage(kind, dice, draft);
  });
}

/** In pieces: as one, byte by byte at the beginning, or anywhere. */
function cut(dice: Dice, bytes: Buffer): Buffer[] {
  const way = dice.weighted({ whole: 3, bytes: 1, anywhere: 4 });
  if (way === "whole" || bytes.length < 2) return bytes.length === 0 ? [] : [bytes];
  const places = way === "bytes" ? Array.from({ length: Math.min(40, bytes.length - 1) }, (_, at) => at + 1) : anywhere(dice, bytes.length);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

function anywhere(dice: Dice, length: number): number[] {
  const places = Array.from({ length: 1 + dice.below(8) }, () => 1 + dice.below(dice.chance(0.5) ? Math.min(40, length - 1) : length - 1));
  return [...new Set(places)].toSorted((a, b) => a - b);
}
