/** A message that enters the journal from inside. */
export interface Derived {
  readonly topic: string;
  readonly time: number;
  readonly hops: number;
  readonly record: Uint8Array;
  readonly volatile?: true;
}
