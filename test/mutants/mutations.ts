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
    file: "src/runtime/function.ts",
    find: "eventId(this.#parts.gateway, item.message.seq, this.name, index)",
    replace: "eventId(this.#parts.gateway, Math.trunc((performance.timeOrigin + performance.now()) * 1_000), this.name, index)",
  },
  {
    name: "the QoS 2 packet id is written after its message, not with it",
    file: "src/journal/qos2.ts",
    find: "      ops: [{ key, value: Buffer.alloc(0) }],\n      publishes: [],\n      sync: true,\n      done: (error) => {\n",
    replace: `      ops: [],
      publishes: [],
      sync: true,
      done: (error) => {
        const ops = [{ key, value: Buffer.alloc(0) }];
        this.#writer.submit({ point: "qos2-append", entries: [], ops, publishes: [], sync: true, done: () => undefined });
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
    find: "acked: events.length === 0 }",
    replace: "acked: true }",
  },
  {
    name: "publishes are forgotten before the broker has taken them",
    file: "src/journal/writer.ts",
    find: "if (batch.publishes.length > 0) this.#events.publishes(batch.number, batch.publishes);",
    replace: `if (batch.publishes.length > 0) {
        this.delivered(batch.number);
        void this.settled().then(() => setTimeout(() => this.#events.publishes(batch.number, batch.publishes), 20));
      }`,
  },
  {
    name: "messages that functions cause are written after the commit, not with it",
    file: "src/journal/journal.ts",
    find: "      entries: commit.derived,\n",
    replace: "      entries: [],\n",
  },
];
