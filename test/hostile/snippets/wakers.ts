import type { Snippet } from "../snippet.ts";

/** Functions that wake themselves, in every way that there is; all of it has to come to an end. */
export const WAKERS: readonly Snippet[] = [
  { name: "wakes-itself", expects: ["LIMIT_HOPS"], handler: "ctx.publish(event.subject, event.data);" },
  {
    name: "wakes-itself-twice",
    expects: ["LIMIT_HOPS"],
    messagesMax: 1,
    handler: "ctx.publish(event.subject, 1); if (event.seq % 4 === 0) ctx.publish(event.subject, 2);",
  },
  { name: "wakes-itself-by-events", expects: ["LIMIT_HOPS"], plan: { also: [{ event: "again" }] }, handler: "ctx.emit('again', 1);" },
  {
    name: "wakes-itself-by-state",
    expects: ["LIMIT_HOPS"],
    plan: { also: [{ state: "*" }] },
    handler: "ctx.state.set('n' + (event.seq % 3), event.seq);",
  },
  {
    name: "wakes-itself-in-turns",
    expects: ["LIMIT_HOPS"],
    plan: { also: [{ event: "again" }, { state: "*" }] },
    handler: "if (event.type === 'event') ctx.state.set('n', event.seq); else ctx.emit('again', 1);",
  },
  {
    name: "wakes-itself-by-failing",
    expects: ["FUNCTION_THREW", "LIMIT_HOPS"],
    plan: { onFailure: { publish: "hostile/wakes-itself-by-failing/k0" } },
    handler: "throw new Error('again');",
  },
  {
    name: "wakes-itself-by-failing-events",
    expects: ["FUNCTION_THREW", "LIMIT_HOPS"],
    plan: { onFailure: { emit: "again" }, also: [{ event: "again" }] },
    handler: "throw new Error('again');",
  },
];
