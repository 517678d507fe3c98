import { REASON } from "../reasons.ts";

/** A client that is not let in, with what it is told: a reason code of MQTT 5 (3.2.2.2) or a return code of 3.1.1 (3.2.2.3). */
export class Refused extends Error {
  readonly reasonCode: number;
  readonly returnCode: number;

  /** What only the operator is told. */
  readonly detail: string | undefined;

  constructor(kind: keyof typeof CODES, message: string, detail?: string) {
    super(message);
    this.detail = detail;
    [this.reasonCode, this.returnCode] = CODES[kind];
  }
}

const CODES = {
  credentials: [REASON.badUserNameOrPassword, 4],
  anonymous: [REASON.notAuthorized, 5],
  will: [REASON.notAuthorized, 5],
  taken: [REASON.notAuthorized, 5],
  busy: [REASON.serverBusy, 3],
  rate: [REASON.connectionRateExceeded, 3],
} as const;
