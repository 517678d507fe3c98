/** A number from 0 up to 1, as Math.random gives. */
export type Random = () => number;

/** The same seed gives the same numbers (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A simulated sensor: where it publishes, how often, and what it measures at a time in milliseconds since the epoch. */
export interface Device {
  readonly id: string;
  readonly topic: string;
  readonly periodMs: number;
  measure(nowMs: number): string;
}

/** A handful of sensors at two sites, about 20 messages a second together. */
export function simulatedDevices(random: Random): Device[] {
  const air = (site: string, id: string): Device => ({
    id,
    topic: `sensors/${site}/${id}/raw`,
    periodMs: 500,
    measure: sometimesBroken(airQuality(random), random),
  });
  const heat = (site: string, id: string): Device => ({
    id,
    topic: `sensors/${site}/${id}/temp`,
    periodMs: 285,
    measure: sometimesBroken(temperature(random), random),
  });
  return [
    air("milan", "aq-1"),
    air("milan", "aq-2"),
    air("turin", "aq-3"),
    heat("milan", "motor-1"),
    heat("milan", "motor-2"),
    heat("turin", "motor-3"),
    heat("turin", "motor-4"),
  ];
}

/** About one payload in so many is cut off, as a failing sensor would do. */
const BROKEN_ONE_IN = 500;

function sometimesBroken(measure: (nowMs: number) => string, random: Random): (nowMs: number) => string {
  return (nowMs) => {
    const payload = measure(nowMs);
    return random() * BROKEN_ONE_IN < 1 ? payload.slice(0, Math.max(1, Math.floor(payload.length * 0.6))) : payload;
  };
}

/** Columns of the UCI air-quality data set with a usual value, how far it wanders, and the digits it is written with. */
const CHANNELS: readonly (readonly [column: string, usual: number, spread: number, digits: number])[] = [
  ["CO(GT)", 2.1, 1.2, 1],
  ["PT08.S1(CO)", 1_100, 180, 0],
  ["NMHC(GT)", 150, 90, 0],
  ["C6H6(GT)", 10, 6, 1],
  ["PT08.S2(NMHC)", 940, 220, 0],
  ["NOx(GT)", 240, 120, 0],
  ["PT08.S3(NOx)", 835, 200, 0],
  ["NO2(GT)", 113, 40, 0],
  ["PT08.S4(NO2)", 1_450, 250, 0],
  ["PT08.S5(O3)", 1_020, 300, 0],
  ["T", 18, 6, 1],
  ["RH", 49, 14, 1],
  ["AH", 1.02, 0.3, 4],
];
const MISSING = -200;
const MISSING_SHARE = 0.04;

function airQuality(random: Random): (nowMs: number) => string {
  // Each channel wanders between -1 and 1 around its usual value.
  const walk = CHANNELS.map(() => random() * 2 - 1);
  return (nowMs) => {
    const [date = "", time = ""] = new Date(nowMs).toISOString().split(/[T.]/);
    const row: Record<string, string | number> = { Date: date, Time: time };
    for (const [index, [column, usual, spread, digits]] of CHANNELS.entries()) {
      const next = Math.max(-1, Math.min(1, (walk[index] ?? 0) + (random() - 0.5) * 0.1));
      walk[index] = next;
      row[column] = random() < MISSING_SHARE ? MISSING : Number((usual + next * spread).toFixed(digits));
    }
    return JSON.stringify(row);
  };
}

const WAVE_MS = 300_000;
const EXCURSION_MS = 20_000;
const EXCURSION_CELSIUS = 62;
/** With some 3.5 measurements a second this gives a device an excursion every two minutes or so. */
const EXCURSION_ONE_IN = 420;

/** A slow wave around 22 °C with a little noise; now and then the device runs hot, to about 85 °C, and cools down again. */
function temperature(random: Random): (nowMs: number) => string {
  const phase = random() * WAVE_MS;
  let excursionStart = Number.NEGATIVE_INFINITY;
  return (nowMs) => {
    if (nowMs - excursionStart > EXCURSION_MS && random() * EXCURSION_ONE_IN < 1) excursionStart = nowMs;
    const through = (nowMs - excursionStart) / EXCURSION_MS;
    const hot = through < 1 ? Math.sin(Math.PI * through) * EXCURSION_CELSIUS : 0;
    const wave = Math.sin((2 * Math.PI * (nowMs + phase)) / WAVE_MS) * 3;
    const celsius = 22 + wave + hot + (random() - 0.5) * 0.4;
    return JSON.stringify({ v: Number(celsius.toFixed(2)), t: Math.floor(nowMs / 1000) });
  };
}
