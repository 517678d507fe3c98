/** Requests for functions over HTTP. */
export interface CallStats {
  /** From their first line to the end of their answer. */
  readonly open: number;
  /** Memory of their bodies. */
  readonly bodyBytes: number;
  /** Answered 503 because too many were open, or their bodies too large together. */
  readonly refused: number;
  /** Answered 408 because they did not come in time. */
  readonly late: number;
}
