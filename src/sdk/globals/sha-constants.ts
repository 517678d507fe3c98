/**
 * The constants of SHA-2 are the first bits of the fractional parts of roots of the first primes (FIPS 180-4, sections 4.2 and 5.3), so they are
 * computed: that is shorter than a table, and done once in an isolate that needs them.
 */
export interface Sha2Constants {
  /** Of the rounds: 80 words of 64 bits, high and low half in turn. SHA-256 takes the high halves of the first 64. */
  readonly rounds: Uint32Array;
  /** What SHA-512 starts with, likewise; SHA-256 takes the high halves. */
  readonly start: Uint32Array;
  /** What SHA-384 starts with. */
  readonly start384: Uint32Array;
}

let made: Sha2Constants | undefined;

export function sha2Constants(): Sha2Constants {
  made ??= make();
  return made;
}

function make(): Sha2Constants {
  const primes: bigint[] = [];
  for (let candidate = 2n; primes.length < 80; candidate++) {
    if (primes.every((prime) => candidate % prime !== 0n)) primes.push(candidate);
  }
  const squares = primes.slice(0, 16).map((prime) => root(prime, 2n));
  return { rounds: halves(primes.map((prime) => root(prime, 3n))), start: halves(squares.slice(0, 8)), start384: halves(squares.slice(8)) };
}

/** The first 64 bits behind the point of a root, by Newton's method from above. */
function root(prime: bigint, degree: bigint): bigint {
  const value = prime << (64n * degree);
  let guess = prime << 64n;
  for (;;) {
    const next = ((degree - 1n) * guess + value / guess ** (degree - 1n)) / degree;
    if (next >= guess) return BigInt.asUintN(64, guess);
    guess = next;
  }
}

function halves(words: readonly bigint[]): Uint32Array {
  return Uint32Array.from(words.flatMap((word) => [Number(word >> 32n), Number(word & 0xffffffffn)]));
}
