import { advance, chooseStream, type Contention, cursorsFrom, type Cursors, NO_CURSORS, rewind, type Stretch } from "./upload-order.ts";

/**
 * The state of the upload, as a pure machine. Events leave the outbox in numbered batches, each from one lane, several of them on their way at
 * once. A batch counts only when the control plane says that it is committed; then exactly its events are deleted.
 *
 *   offline ──connected──▶ online ──sent──▶ online …
 *      ▲                     │ acked    the batch leaves the window
 *      └───disconnected──────┤ expired  nothing came in time: the window is emptied and everything in it is read and sent again
 *                            │ passed   there was nothing to be sent where something had been expected
 *
 * What is in the outbox when the link comes up is the backlog, what is added later is live; `upload-order.ts` says whose turn it is.
 */
export type UploadState = Offline | Online;

/** Events that are in the cloud's store, and events that can never be. */
interface Progress {
  readonly uploaded: number;
  readonly rejected: number;
}

interface Offline extends Progress {
  readonly kind: "offline";
}

interface Online extends Progress {
  readonly kind: "online";
  readonly cursors: Cursors;
  readonly contention: Contention;
  readonly window: readonly Flight[];
  /** How often in a row nothing came in time; each doubles the patience. */
  readonly expiries: number;
}

interface Flight extends Stretch {
  readonly batch: number;
  /** As the clock's `elapsed`. */
  readonly sentAt: number;
}

export type UploadInput =
  /** With the newest position of each lane. */
  | { readonly kind: "connected"; readonly tails: readonly number[] }
  | { readonly kind: "disconnected" }
  | { readonly kind: "sent"; readonly batch: number; readonly stretch: Stretch; readonly at: number; readonly contention: Contention }
  | { readonly kind: "passed"; readonly stretch: Stretch }
  | { readonly kind: "acked"; readonly batch: number; readonly uploaded: number; readonly rejected: number }
  | { readonly kind: "expired" };

type Table = {
  [S in UploadState["kind"]]: {
    [I in UploadInput["kind"]]: (state: Extract<UploadState, { kind: S }>, input: Extract<UploadInput, { kind: I }>) => UploadState;
  };
};

export const WINDOW_BATCHES_MAX = 8;
export const ACK_TIMEOUT_MS = 10_000;
const ACK_TIMEOUT_MS_MAX = 120_000;

export const initialUploadState: UploadState = { kind: "offline", uploaded: 0, rejected: 0 };

const progress = ({ uploaded, rejected }: UploadState): Progress => ({ uploaded, rejected });

const fresh = (state: UploadState, tails: readonly number[]): Online => ({
  ...progress(state),
  kind: "online",
  cursors: cursorsFrom(tails),
  contention: 0,
  window: [],
  expiries: 0,
});

/** Every cell is filled: leaving one out does not compile. */
const TABLE: Table = {
  offline: {
    connected: (state, { tails }) => fresh(state, tails),
    disconnected: (state) => state,
    // What was being sent when the link went is sent again after it is back.
    sent: (state) => state,
    passed: (state) => state,
    acked: (state) => state,
    expired: (state) => state,
  },
  online: {
    connected: (state, { tails }) => fresh(state, tails),
    disconnected: (state) => ({ ...progress(state), kind: "offline" }),
    sent: (state, { batch, stretch, at, contention }) => ({
      ...state,
      cursors: advance(state.cursors, stretch),
      contention,
      window: [...state.window, { ...stretch, batch, sentAt: at }],
    }),
    passed: (state, { stretch }) => ({ ...state, cursors: advance(state.cursors, stretch) }),
    acked: (state, { batch, uploaded, rejected }) => {
      const window = state.window.filter((flight) => flight.batch !== batch);
      if (window.length === state.window.length) return state;
      return { ...state, window, uploaded: state.uploaded + uploaded, rejected: state.rejected + rejected, expiries: 0 };
    },
    expired: (state) => ({ ...state, cursors: rewind(state.cursors, state.window), window: [], expiries: state.expiries + 1 }),
  },
};

export function stepUpload(state: UploadState, input: UploadInput): UploadState {
  // The table is complete by its type; TypeScript cannot see that state and cell belong together.
  const cell = TABLE[state.kind][input.kind] as (state: UploadState, input: UploadInput) => UploadState;
  return cell(state, input);
}

/** Whether another batch may be sent. */
export function hasRoom(state: UploadState): boolean {
  return state.kind === "online" && state.window.length < WINDOW_BATCHES_MAX;
}

/** What is to be read and sent next, given the newest position of each lane and the backlog's share in percent; undefined when nothing waits. */
export function nextStretch(
  state: UploadState,
  tails: readonly number[],
  backlogShare: number,
): { stretch: Stretch; contention: Contention } | undefined {
  return chooseStream(
    state.kind === "online" ? state.cursors : NO_CURSORS,
    tails,
    state.kind === "online" ? state.contention : 0,
    backlogShare,
  );
}

/** When the oldest batch is given up, by the clock that `sent` was told; undefined while nothing is on its way. */
export function expiresAt(state: UploadState): number | undefined {
  if (state.kind === "offline") return undefined;
  const [oldest] = state.window;
  return oldest && oldest.sentAt + Math.min(ACK_TIMEOUT_MS_MAX, ACK_TIMEOUT_MS * 2 ** Math.min(state.expiries, 10));
}
