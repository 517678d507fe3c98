/**
 * The state of the upload, as a pure machine. Events leave the outbox in the order of their positions, in numbered batches, several of
 * them on their way at once. A batch counts only when the control plane says that it is committed.
 *
 *   offline ──connected──▶ online ──sent──▶ online …
 *      ▲                     │ acked    the acknowledged head of the window leaves it; its last position is trimmed
 *      └───disconnected──────┤ expired  nothing came in time: the window is emptied and everything in it is read and sent again
 *
 * `cursor` is where the next read starts: behind the last position that was sent, or behind the last that was trimmed after a fresh start.
 */
export type UploadState = Offline | Online;

/** What is over and done with. Counted when it leaves the window, so that a batch that was sent twice counts once. */
interface Progress {
  /** Everything up to here is confirmed. */
  readonly trimmed: number;
  /** Events that are in the cloud's store, and events that can never be. */
  readonly uploaded: number;
  readonly rejected: number;
}

interface Offline extends Progress {
  readonly kind: "offline";
}

interface Online extends Progress {
  readonly kind: "online";
  readonly cursor: number;
  /** In the order of their positions. */
  readonly window: readonly Flight[];
  /** How often in a row nothing came in time; each doubles the patience. */
  readonly expiries: number;
}

interface Flight {
  readonly batch: number;
  readonly last: number;
  readonly sentAt: number;
  readonly acked: boolean;
  readonly uploaded: number;
  readonly rejected: number;
}

export type UploadInput =
  | { readonly kind: "connected" }
  | { readonly kind: "disconnected" }
  /** `oversized` events were left out; `acked` at once when nothing was left to send. */
  | {
      readonly kind: "sent";
      readonly batch: number;
      readonly last: number;
      readonly at: number;
      readonly oversized: number;
      readonly acked: boolean;
    }
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

export const initialUploadState: UploadState = { kind: "offline", trimmed: 0, uploaded: 0, rejected: 0 };

const progress = ({ trimmed, uploaded, rejected }: UploadState): Progress => ({ trimmed, uploaded, rejected });

const fresh = (state: UploadState, expiries: number): Online => ({
  ...progress(state),
  kind: "online",
  cursor: state.trimmed,
  window: [],
  expiries,
});

/** Every cell is filled: leaving one out does not compile. */
const TABLE: Table = {
  offline: {
    connected: (state) => fresh(state, 0),
    disconnected: (state) => state,
    // What was being sent when the link went is sent again after it is back.
    sent: (state) => state,
    acked: (state) => state,
    expired: (state) => state,
  },
  online: {
    connected: (state) => fresh(state, 0),
    disconnected: (state) => ({ ...progress(state), kind: "offline" }),
    sent: (state, { batch, last, at, oversized, acked }) => {
      const flight = { batch, last, sentAt: at, acked, uploaded: 0, rejected: oversized };
      return settle({ ...state, cursor: last, window: [...state.window, flight] });
    },
    acked: (state, { batch, uploaded, rejected }) => {
      if (!state.window.some((flight) => flight.batch === batch && !flight.acked)) return state;
      const done = (flight: Flight): Flight => ({ ...flight, acked: true, uploaded, rejected: flight.rejected + rejected });
      return settle({ ...state, window: state.window.map((flight) => (flight.batch === batch ? done(flight) : flight)), expiries: 0 });
    },
    expired: (state) => fresh(state, state.expiries + 1),
  },
};

export function stepUpload(state: UploadState, input: UploadInput): UploadState {
  // The table is complete by its type; TypeScript cannot see that state and cell belong together.
  const cell = TABLE[state.kind][input.kind] as (state: UploadState, input: UploadInput) => UploadState;
  return cell(state, input);
}

/** Takes the acknowledged head off the window, so that positions are trimmed in order. */
function settle(state: Online): Online {
  const open = state.window.findIndex((flight) => !flight.acked);
  const done = state.window.slice(0, open === -1 ? undefined : open);
  const sum = (of: "uploaded" | "rejected"): number => done.reduce((total, flight) => total + flight[of], state[of]);
  const trimmed = done.at(-1)?.last ?? state.trimmed;
  return { ...state, trimmed, uploaded: sum("uploaded"), rejected: sum("rejected"), window: state.window.slice(done.length) };
}

/** Whether another batch may be sent. */
export function hasRoom(state: UploadState): boolean {
  return state.kind === "online" && state.window.length < WINDOW_BATCHES_MAX;
}

/** When the oldest batch is given up, in milliseconds since the epoch; undefined while nothing is on its way. */
export function expiresAt(state: UploadState): number | undefined {
  if (state.kind === "offline") return undefined;
  const oldest = state.window.find((flight) => !flight.acked);
  return oldest && oldest.sentAt + Math.min(ACK_TIMEOUT_MS_MAX, ACK_TIMEOUT_MS * 2 ** Math.min(state.expiries, 10));
}
