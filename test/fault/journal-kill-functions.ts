import { functionOf } from "../support/functions.ts";

/** Counts the messages of each key in its state, says so in an event, and passes each on. */
export const counting = functionOf({
  name: "counting",
  concurrency: 2,
  handler: `
    const count = (await ctx.state.get('count') ?? 0) + 1;
    ctx.state.set('count', count);
    ctx.emit('counted', { message: event.data, count }, { subject: event.params.k });
    ctx.publish('mid/' + event.params.k, event.data);`,
});

/** Says what was passed on. */
export const relayed = functionOf({
  name: "relayed",
  triggers: ["mid/+k"],
  key: "k",
  handler: `ctx.emit('relayed', event.text, { subject: event.params.k });`,
});
