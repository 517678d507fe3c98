/** A promise broken on purpose. */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "a message is acknowledged before it is on disk",
    file: "src/journal/writer.ts",
    find: "if (batch.messages.length > 0) this.#events.incoming(batch.messages);\n",
    replace:
      "if (batch.messages.length > 0) this.#events.incoming(batch.messages);\n      for (const write of writes) if (write.entries.length > 0) write.done();\n",
  },
  {
    name: "an append is not synced before it is acknowledged",
    file: "src/journal/journal.ts",
    find: 'this.#writer.submit({ point: "append", entries: [entry], ops: [], publishes: [], sync: true, done });',
    replace: 'this.#writer.submit({ point: "append", entries: [entry], ops: [], publishes: [], sync: false, done });',
  },
  {
    name: "the cursor is written before the effects, not with them",
    file: "src/journal/writer.ts",
    find: 'for (const [consumer, value] of cursors) ops.push({ type: "put", key: nameKey("c", consumer), value });',
    replace: `for (const [consumer, value] of cursors) {
      void this.#database.batch([{ type: "put", key: nameKey("c", consumer), value }], { sync: false, points: new Set(["commit"]) });
    }`,
  },
  {
    name: "the cursor is written after the effects, not with them",
    file: "src/journal/writer.ts",
    find: 'for (const [consumer, value] of cursors) ops.push({ type: "put", key: nameKey("c", consumer), value });',
    replace: `for (const [consumer, value] of cursors) {
      setImmediate(() => {
        this.#database
          .batch([{ type: "put", key: nameKey("c", consumer), value }], { sync: false, points: new Set(["commit"]) })
          .catch(() => undefined);
      });
    }`,
  },
  {
    name: "event ids are counted, not derived",
    file: "src/runtime/draft.ts",
    find: "eventId(owner.gateway, item.message.seq, owner.name, index)",
    replace: "eventId(owner.gateway, Math.trunc((performance.timeOrigin + performance.now()) * 1_000), owner.name, index)",
  },
  {
    name: "the QoS 2 packet id is written after its message, not with it",
    file: "src/journal/qos2.ts",
    find: '    this.#writer.submit({ point: "qos2-append", entries: [entry], ops, publishes: [], sync: true, once: text, done: taken });\n',
    replace: `    const later = (error?: MillraceError): void => {
      taken(error);
      this.#writer.submit({ point: "qos2-append", entries: [], ops, publishes: [], sync: true, done: () => undefined });
    };
    this.#writer.submit({ point: "qos2-append", entries: [entry], ops: [], publishes: [], sync: true, once: text, done: later });
`,
  },
  {
    name: "the mark of an idempotency key is written after the effects, not with them",
    file: "src/journal/journal.ts",
    find: "    for (const mark of commit.marks ?? []) ops.push(markOp(commit.consumer, mark));\n",
    replace: `    const marks = (commit.marks ?? []).map((mark) => markOp(commit.consumer, mark));
    const write = { point: "commit", ops: marks, entries: [], publishes: [], sync: false, done: () => undefined } as const;
    setImmediate(() => void this.#writer.settled().then(() => this.#writer.submit(write), () => undefined));
`,
  },
  {
    name: "the QoS 2 packet id is released without a sync",
    file: "src/journal/qos2.ts",
    find: 'this.#writer.submit({ point: "qos2-release", ops, entries: [], publishes: [], sync: true, done });',
    replace: 'this.#writer.submit({ point: "qos2-release", ops, entries: [], publishes: [], sync: false, done });',
  },
  {
    name: "messages above the floor are trimmed",
    file: "src/journal/keeper.ts",
    find: "this.#consumed = Math.max(this.#consumed, consumed);",
    replace: "this.#consumed = Math.max(this.#consumed, consumed + 1_000);",
  },
  {
    name: "messages are trimmed before what came of them is written",
    file: "src/journal/keeper.ts",
    find: "    await writer.settled();\n",
    replace: "",
  },
  {
    name: "events are trimmed when they are sent, not when they are confirmed",
    file: "src/sync/uploader.ts",
    find: "    this.#publish(payload);\n",
    replace: "    this.#publish(payload);\n    this.#confirmed = [...this.#confirmed, ...send];\n",
  },
  {
    name: "publishes are forgotten before the broker has taken them",
    file: "src/journal/writer.ts",
    find: "for (const { number, records, consumer } of batch.parcels) this.#events.publishes(number, records, consumer);",
    replace: `for (const { number, records, consumer } of batch.parcels) {
        this.delivered(number);
        void this.settled().then(() => setTimeout(() => this.#events.publishes(number, records, consumer), 20));
      }`,
  },
  {
    name: "messages that functions cause are written after the commit, not with it",
    file: "src/journal/journal.ts",
    find: "      entries: commit.derived,\n",
    replace: "      entries: [],\n",
  },
  {
    name: "a client's message is acknowledged before the sessions that want it have it",
    file: "src/broker/copies.ts",
    find: "    return follows || retain || !this.#shelf.hasNoOffline(topic);",
    replace: "    return follows && retain;",
  },
  {
    name: "copies are written before the acknowledgement, but not synced",
    file: "src/broker/copies.ts",
    find: "    await this.#shelf.secure();\n",
    replace: "",
  },
  {
    name: "the packet id of a QoS 2 message that no function wants is released without a sync",
    file: "src/broker/session-store.ts",
    find: "    await super.incomingDelPacket(client, packet);\n    this.#sync.written();\n",
    replace: "    await super.incomingDelPacket(client, packet);\n",
  },
  {
    name: "the journal forgets a delivery before the sessions that have it are on disk",
    file: "src/broker/log-sync.ts",
    find: "    if (this.#secured === this.#written) return done();",
    replace: "    if (this.#secured <= this.#written) return done();",
  },
  {
    name: "messages of a key pass one before them that waits for its retry",
    file: "src/runtime/lane.ts",
    find: '    this.#strict = owner.manifest.order === "strict";\n',
    replace: "    this.#strict = false;\n",
  },
];

/** What is left of the source when the mutation is made; undefined when its text does not stand there exactly once. */
export function mutated(source: string, { find, replace }: Mutation): string | undefined {
  const [before, after, ...more] = source.split(find);
  return before === undefined || after === undefined || more.length > 0 ? undefined : before + replace + after;
}
