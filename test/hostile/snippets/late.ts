import { plainHandler, type Snippet } from "../snippet.ts";

/** What goes on when the message is over, and what its end is kept from. */
export const LATE: readonly Snippet[] = [
  {
    name: "late-loop-behind-a-timer",
    expects: ["harmless", "LIMIT_CPU"],
    code: plainHandler("setTimeout(async () => { for (;;) await 0; }, 0);"),
  },
  {
    name: "late-effects-into-the-next-message",
    expects: ["harmless", "FUNCTION_THREW"],
    mute: true,
    handler: `const mine = ctx; const late = globalThis.late ??= []; late.push(() => { mine.emit('late', 1);
    mine.publish('flood/late', 1); mine.state.set('late', 1); });
      for (const one of late.slice(0, -1)) { try { one(); } catch {} }
      if ((await ctx.state.get('late')) !== undefined) throw new TypeError('a write of a message that is over');`,
  },
  {
    name: "late-timer-of-an-ended-message",
    expects: ["harmless"],
    mute: true,
    handler: "setTimeout(() => ctx.emit('late', 1), 5); setInterval(() => ctx.publish('flood/late', 1), 5);",
  },
  {
    name: "late-promise-that-is-never-settled",
    expects: ["LIMIT_WALL"],
    handler: "const { promise } = Promise.withResolvers(); setInterval(() => 1, 10); await promise;",
  },
  { name: "late-catch-of-everything", expects: ["LIMIT_CPU"], handler: "for (;;) { try { for (;;); } catch {} finally { for (;;); } }" },
  {
    name: "late-return-of-a-generator",
    expects: ["LIMIT_CPU"],
    handler: `function* all() { try { yield 1; } finally { for (;;) yield 1; } } for (const one of all()) { for (const two of all()) break;
      break; } const it = all(); it.next(); for (;;) it.return();`,
  },
  {
    name: "late-dispose-that-loops",
    expects: ["LIMIT_CPU", "FUNCTION_THREW"],
    handler: "{ using one = { [Symbol.dispose]() { for (;;); } }; }",
  },
  {
    name: "late-await-using",
    expects: ["LIMIT_WALL", "FUNCTION_THREW"],
    handler: "await using one = { [Symbol.asyncDispose]: () => new Promise(() => undefined) };",
  },
  {
    name: "late-thenable-that-enters-again",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY", "FUNCTION_THREW"],
    code: plainHandler(
      "const self = { then(resolve) { Promise.resolve(self).then(resolve); Promise.resolve(self).then(resolve); } }; return self;",
    ),
  },
  {
    name: "late-thenable-that-answers-twice",
    expects: ["harmless"],
    code: plainHandler("return { then(resolve, reject) { resolve(1); reject(new Error('x')); resolve({ then() { for (;;); } }); } };"),
  },
  {
    name: "late-from-async",
    expects: ["LIMIT_CPU", "LIMIT_MEMORY"],
    handler: "await Array.fromAsync({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: 1 }) }) });",
  },
  {
    name: "late-messages-that-talk",
    expects: ["harmless", "FUNCTION_THREW", "LIMIT_WALL"],
    mute: true,
    handler: `const waiting = globalThis.waiting; globalThis.waiting = Promise.withResolvers();
      waiting?.resolve(ctx); if (waiting === undefined) return; const other = await Promise.race([globalThis.waiting.promise, 0]);
      other?.emit?.('x', 1);`,
  },
];
