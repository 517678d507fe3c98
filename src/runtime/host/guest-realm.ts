/**
 * What a guest must not find, as paths from its global object: memory and code that no limit counts, threads, code that V8 calls when it likes and
 * nobody stops, and clocks finer than the millisecond of `Date`; for `Temporal.Now` see below. The memory of a buffer that grows is not counted
 * either: V8 does not ask the engine for it.
 */
const ABSENT = [
  "WebAssembly",
  "SharedArrayBuffer",
  "Atomics",
  "FinalizationRegistry",
  "ArrayBuffer.prototype.resize",
  "ArrayBuffer.prototype.resizable",
  "ArrayBuffer.prototype.maxByteLength",
];

/**
 * Takes away what a guest must not have, before its code runs. Answers with a function that makes V8 collect all garbage: the engine does so
 * before it refuses a buffer that is larger than the isolate may be, and ends the isolate when what is left is too much.
 */
export function closeRealm(): (tooManyBytes: number) => unknown {
  for (const path of ABSENT) {
    const names = path.split(".");
    const last = names.pop() ?? "";
    const owner = names.reduce<unknown>((object, name) => (isObject(object) ? Reflect.get(object, name) : undefined), globalThis);
    if (isObject(owner)) Reflect.deleteProperty(owner, last);
  }
  openTemporal();
  const Original = ArrayBuffer;
  const { construct } = Reflect;
  // Without `resize` a buffer does not grow, but one made to grow would take as much of the address space at once.
  const Fixed: ArrayBufferConstructor = new Proxy(Original, {
    construct: (target, [length]: unknown[], made): object => construct(target, [length], made === Fixed ? target : made),
  });
  Object.defineProperty(Original.prototype, "constructor", { value: Fixed, writable: true, configurable: true });
  Object.defineProperty(globalThis, "ArrayBuffer", { value: Fixed, writable: true, configurable: true });
  return (tooManyBytes) => {
    try {
      return construct(Original, [tooManyBytes]).byteLength;
    } catch {
      return undefined; // Refused, as it should be.
    }
  };
}

/**
 * V8 makes Temporal, 180 KB in half a millisecond, when it is looked at for the first time. So it is taken away without a look, and comes back, without its
 * clock, when somebody wants it: what it consists of is found from a date.
 */
function openTemporal(): void {
  if (!Reflect.deleteProperty(globalThis, "Temporal")) throw new Error("Temporal cannot be taken away");
  Object.defineProperty(globalThis, "Temporal", { get: () => keepTemporal(temporalWithoutNow()), set: keepTemporal, configurable: true });
}

function keepTemporal(value: unknown): unknown {
  Object.defineProperty(globalThis, "Temporal", { value, writable: true, configurable: true });
  return value;
}

function temporalWithoutNow(): object {
  const instant = new Date(0).toTemporalInstant();
  const zoned = instant.toZonedDateTimeISO("UTC");
  const date = zoned.toPlainDate();
  const duration = instant.since(instant);
  const dated = [
    date,
    zoned.toPlainTime(),
    zoned.toPlainDateTime(),
    zoned,
    duration,
    instant,
    date.toPlainYearMonth(),
    date.toPlainMonthDay(),
  ];
  const temporal = Object.defineProperty({}, Symbol.toStringTag, { value: "Temporal", configurable: true });
  for (const { constructor } of dated) {
    Object.defineProperty(temporal, constructor.name, { value: constructor, writable: true, configurable: true });
  }
  return temporal;
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
