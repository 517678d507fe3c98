/** What an isolate can ask the gateway for: the second field of a CALL, see frames.ts. */
export const CALL_FETCH = 0;
export const CALL_SECRET = 1;
