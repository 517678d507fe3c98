/** The numbers that the DOM standard still gives to some names. */
const CODES: Readonly<Record<string, number>> = {
  InvalidCharacterError: 5,
  AbortError: 20,
  QuotaExceededError: 22,
  TimeoutError: 23,
  DataCloneError: 25,
};

/** `DOMException` of the Web IDL standard. */
export class DOMException extends Error {
  override readonly name: string;

  constructor(message = "", name = "Error") {
    super(message);
    this.name = name;
  }

  get code(): number {
    return CODES[this.name] ?? 0;
  }
}
