import { functionOf, type TestFunction } from "../../support/functions.ts";

/**
 * From the second version on the list is kept as an object, under another name; what is stored is brought along.
 * Remembers in state which messages of its key it has seen, says so in an event, wakes `relayed`, and tells local subscribers.
 */
function counting(version: number): TestFunction {
  const [read, kept] =
    version === 1 ? ["await ctx.state.get('seen') ?? []", "seen"] : ["(await ctx.state.get('list'))?.names ?? []", "{ names: seen }"];
  return functionOf({
    name: "counting",
    version,
    concurrency: 2,
    idempotency: { key: "data.once", windowMs: 3_600_000, entries: 1_000 },
    prelude: `/* version ${version} */`,
    stateVersion: version,
    migrate: "return { list: { names: entries.get('seen') } };",
    handler: `
      const { name, kind } = event.data;
      if (kind === 'bad' || (kind === 'flaky' && event.attempt === 1)) throw new Error(kind);
      const seen = [...(${read}), name];
      ctx.state.set('${version === 1 ? "seen" : "list"}', ${kept});
      ctx.emit('counted', { name, count: seen.length }, { subject: event.params.k });
      ctx.publish('mid/' + event.params.k, name);
      ctx.publish('out/' + event.params.k, name);`,
  });
}

/** Says in an event what `counting` passed on. */
function relayed(version: number): TestFunction {
  return functionOf({
    name: "relayed",
    version,
    triggers: ["mid/+k"],
    key: "k",
    handler: `ctx.emit('relayed', event.text, { subject: event.params.k });`,
  });
}

/** Says in an event what the events of `counting` have told it. */
function heard(version: number): TestFunction {
  const handler = "ctx.emit('heard', event.data.name, { subject: event.subject });";
  return functionOf({ name: "heard", version, triggers: [], also: [{ event: "count*" }], handler });
}

/** Says in an event when it was woken, every second. */
function ticking(version: number): TestFunction {
  const schedule = { schedule: "every 1s", name: "default", timezone: "UTC", catchUp: "all", catchUpMax: 1_000 } as const;
  return functionOf({
    name: "ticking",
    version,
    triggers: [],
    also: [schedule],
    handler: `ctx.emit('ticked', Date.parse(event.data.due));`,
  });
}

/** Says in one event what came together; after a crash that may be something else. */
function gathering(version: number): TestFunction {
  return functionOf({
    name: "gathering",
    version,
    idempotency: { key: "data.once", windowMs: 3_600_000, entries: 1_000 },
    window: { size: 3, windowMs: 2 },
    batch: `ctx.emit('gathered', events.map((event) => event.data.name), { subject: 'all' });`,
  });
}

/** Does nothing; it is there to be removed. */
function resting(version: number): TestFunction {
  return functionOf({ name: "resting", version, triggers: ["in/+k"], key: "k", handler: "" });
}

const FUNCTIONS: Readonly<Record<string, (version: number) => TestFunction>> = { counting, relayed, heard, ticking, gathering, resting };

export function functionNamed(name: string, version: number): TestFunction {
  const make = FUNCTIONS[name];
  if (make === undefined) throw new Error(`there is no function "${name}"`);
  return make(version);
}
