import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openEmbeddedLink } from "../../../src/control/embedded-link.ts";
import type { Link } from "../../../src/control/link.ts";
import { ARTIFACT_CHUNK_BYTES, decodeLink, encodeLink } from "../../../src/core/link.ts";
import { artifactGetSchema, type Desired, type Reported, reportedSchema } from "../../../src/core/link-messages.ts";
import { silentLogger } from "../../../src/core/log.ts";
import { sampleBundle } from "../../unit/sync/samples.ts";
import { fastClock, GATEWAY, loadFailure, newSync, RecordingDeployer, type SyncParts, temporaryFolder, TestOutbox } from "./support.ts";
import { eventually } from "../../support/eventually.ts";

const patiently = { interval: 10 };
const one = sampleBundle("celsius", "one");
const two = sampleBundle("celsius", "two", ARTIFACT_CHUNK_BYTES * 2);
const other = sampleBundle("other", "other");

/** Plays the control plane over a real link, message by message, so that a test decides what is answered and when. */
class Cloud {
  readonly bundles = new Map<string, Buffer>();
  readonly reports: Reported[] = [];
  asked = 0;
  desired: Desired = { revision: 0, functions: [] };
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
    link.on("hello", (_, payload) => {
      this.#keep(payload);
      this.push();
    });
    link.on("reported", (_, payload) => this.#keep(payload));
    link.on("artifact/get", (gateway, payload) => {
      const wanted = decodeLink(artifactGetSchema, payload);
      if (wanted === undefined) return;
      this.asked += 1;
      const bytes = this.bundles.get(wanted.digest) ?? Buffer.alloc(0);
      const piece = new Uint8Array(bytes.subarray(wanted.offset, wanted.offset + ARTIFACT_CHUNK_BYTES));
      link.publish(gateway, "artifact/chunk", encodeLink({ ...wanted, total: bytes.length, bytes: piece }));
    });
  }

  want(revision: number, ...functions: [sample: ReturnType<typeof sampleBundle>, version: number][]): void {
    for (const [{ digest, bytes }] of functions) if (!this.bundles.has(digest)) this.bundles.set(digest, bytes);
    const targets = functions.map(([{ bundle, digest, bytes }, version]) => ({
      name: bundle.manifest.name,
      version,
      digest,
      bytes: bytes.length,
    }));
    this.desired = { revision, functions: targets };
    this.push();
  }

  push(): void {
    this.#link.publish(GATEWAY, "desired", encodeLink(this.desired));
  }

  get last(): Reported | undefined {
    return this.reports.at(-1);
  }

  #keep(payload: Uint8Array): void {
    const reported = decodeLink(reportedSchema, payload);
    if (reported !== undefined) this.reports.push(reported);
  }
}

let stack: AsyncDisposableStack;
let cloud: Cloud;
let parts: SyncParts & { deployer: RecordingDeployer };
let link: Link;

beforeEach(async () => {
  stack = new AsyncDisposableStack();
  const data = stack.use(await temporaryFolder()).path;
  const outbox = stack.use(await TestOutbox.open(data));
  link = stack.use(await openEmbeddedLink({ host: "127.0.0.1", port: 0 }, silentLogger));
  cloud = new Cloud(link);
  parts = { url: link.address, data, outbox, deployer: new RecordingDeployer(), clock: fastClock(20) };
});
afterEach(() => stack.disposeAsync());

const artifacts = async (): Promise<string[]> => (await readdir(join(parts.data, "sync", "artifacts"))).toSorted();
const running = (): string | undefined => parts.deployer.running.get("celsius")?.digest;
const reportedStates = (): string[] | undefined => cloud.last?.functions.map(({ name, version, state }) => `${name} v${version} ${state}`);

describe("following the desired state", () => {
  it("fetches in pieces, deploys, replaces, reports, removes, and keeps no bundle that is not needed", async () => {
    await using sync = newSync(parts);
    cloud.want(1, [one, 1]);
    sync.connect();
    await eventually(() => expect(running()).toBe(one.digest), patiently);
    await eventually(() => expect(cloud.last).toMatchObject({ gateway: GATEWAY, revision: 1, labels: { site: "milan" } }), patiently);

    cloud.want(2, [two, 2], [other, 1]);
    await eventually(() => expect(cloud.last).toMatchObject({ revision: 2 }), patiently);
    expect(parts.deployer.running.get("celsius")?.code).toBe(two.bundle.code);
    expect(reportedStates()).toEqual(["celsius v2 active", "other v1 active"]);
    expect(await artifacts()).toEqual([`${two.digest}.bundle`, `${other.digest}.bundle`].toSorted());
    expect(cloud.asked).toBe(1 + 3 + 1);

    cloud.want(3, [other, 1]);
    await eventually(() => expect(cloud.last).toMatchObject({ revision: 3 }), patiently);
    expect(parts.deployer.history).toEqual(["celsius v1", "celsius v2", "other v1", "celsius removed"]);
    await eventually(async () => expect(await artifacts()).toEqual([`${other.digest}.bundle`]), patiently);
  });

  it("refuses a bundle with the wrong digest, goes on with the old version, and takes the right one later", async () => {
    await using sync = newSync(parts);
    cloud.want(1, [one, 1]);
    sync.connect();
    await eventually(() => expect(cloud.last).toMatchObject({ revision: 1 }), patiently);
    cloud.bundles.set(two.digest, other.bytes);
    cloud.want(2, [two, 2]);
    await eventually(() => expect(reportedStates()).toEqual(["celsius v1 active", "celsius v2 failed"]), patiently);
    expect(cloud.last?.functions.find(({ state }) => state === "failed")?.error).toContain("DIGEST_MISMATCH");
    expect(parts.deployer.refused[0]).toContain("celsius v2");
    expect(running()).toBe(one.digest);
    expect(await artifacts()).toEqual([`${one.digest}.bundle`]);

    const asked = cloud.asked;
    cloud.push();
    cloud.bundles.set(two.digest, two.bytes);
    await eventually(() => expect(running()).toBe(two.digest), patiently);
    // Pushed again while it waited, it was tried when its time had come and not before.
    expect(cloud.asked - asked).toBe(3);
    await eventually(() => expect(reportedStates()).toEqual(["celsius v2 active"]), patiently);
  });

  it("reports a version that does not load, and restarts with the one that did", async () => {
    {
      await using sync = newSync(parts);
      cloud.want(1, [one, 1]);
      sync.connect();
      await eventually(() => expect(running()).toBe(one.digest), patiently);
      parts.deployer.before = (target) => (target.version === 2 ? loadFailure(target) : Promise.resolve());
      cloud.want(2, [two, 2]);
      await eventually(() => expect(reportedStates()).toEqual(["celsius v1 active", "celsius v2 failed"]), patiently);
      expect(cloud.last?.functions[1]?.error).toContain("FUNCTION_LOAD_FAILED");
    }
    const deployer = new RecordingDeployer();
    await using sync = newSync({ ...parts, deployer, url: "mqtt://127.0.0.1:9" });
    expect(await sync.restore()).toEqual({ active: ["celsius"], failed: [] });
    expect(deployer.running.get("celsius")).toMatchObject({ version: 1, digest: one.digest });
  });

  it("ignores an older state, and of those that come during a deployment acts on the newest only", async () => {
    await using sync = newSync(parts);
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    parts.deployer.before = () => {
      reached.resolve();
      return gate.promise;
    };
    cloud.want(5, [one, 1]);
    sync.connect();
    await reached.promise;
    cloud.want(6, [two, 2]);
    cloud.want(8, [other, 1], [one, 1]);
    cloud.want(7, [two, 2]);
    cloud.want(4);
    // All four have arrived when the gateway answers something that was sent after them.
    const greetings = cloud.reports.length;
    sync.report();
    await eventually(() => expect(cloud.reports.length).toBeGreaterThan(greetings), patiently);
    gate.resolve();
    await eventually(() => expect(cloud.last).toMatchObject({ revision: 8 }), patiently);
    expect(parts.deployer.history).toEqual(["celsius v1", "other v1"]);
    expect(running()).toBe(one.digest);
  });

  it("asks again for a piece that was lost, and for the state when its hello was", async () => {
    let deaf = true;
    const publish = link.publish.bind(link);
    let dropped = 0;
    link.publish = (gateway, name, payload) => {
      if (name === "artifact/chunk" && dropped++ === 0) return;
      if (name === "desired" && deaf) deaf = false;
      else publish(gateway, name, payload);
    };
    await using sync = newSync(parts);
    cloud.desired = { revision: 1, functions: [{ name: "celsius", version: 1, digest: one.digest, bytes: one.bytes.length }] };
    cloud.bundles.set(one.digest, one.bytes);
    sync.connect();
    await eventually(() => expect(running()).toBe(one.digest), patiently);
    expect(dropped).toBe(2);
  });
});

async function deployOne(): Promise<void> {
  await using sync = newSync(parts);
  cloud.want(3, [one, 1]);
  sync.connect();
  await eventually(() => expect(cloud.last).toMatchObject({ revision: 3 }), patiently);
}

describe("restoring", () => {
  it("starts what ran before with no network at all", async () => {
    await deployOne();
    await link.close();
    const deployer = new RecordingDeployer();
    await using sync = newSync({ ...parts, deployer });
    expect(await sync.restore()).toEqual({ active: ["celsius"], failed: [] });
    expect(deployer.running.get("celsius")).toMatchObject({ version: 1, digest: one.digest, code: one.bundle.code });
  });

  it("starts the version that handled messages last, also when a full disk kept it out of the list", async () => {
    await deployOne();
    const list = join(parts.data, "sync", "applied.json");
    const before = await readFile(list);
    {
      await using sync = newSync(parts);
      await sync.restore();
      cloud.want(4, [two, 2]);
      sync.connect();
      await eventually(() => expect(cloud.last).toMatchObject({ revision: 4 }), patiently);
    }
    await writeFile(list, before);
    await link.close();
    const deployer = new RecordingDeployer();
    deployer.handledLast = [{ name: "celsius", version: 2, digest: two.digest }];
    await using sync = newSync({ ...parts, deployer });
    expect(await sync.restore()).toEqual({ active: ["celsius"], failed: [] });
    expect(deployer.running.get("celsius")).toMatchObject({ version: 2, digest: two.digest });
  });

  it("has nothing to restore on a new gateway", async () => {
    await using sync = newSync(parts);
    expect(await sync.restore()).toEqual({ active: [], failed: [] });
  });

  it("drops a damaged bundle and fetches it again when the link is there", async () => {
    await deployOne();
    await writeFile(join(parts.data, "sync", "artifacts", `${one.digest}.bundle`), "damaged");
    const deployer = new RecordingDeployer();
    await using sync = newSync({ ...parts, deployer });
    expect(await sync.restore()).toMatchObject({ active: [], failed: [{ name: "celsius" }] });
    expect(await artifacts()).toEqual([]);
    sync.connect();
    await eventually(() => expect(deployer.running.get("celsius")?.digest).toBe(one.digest), patiently);
    expect(await artifacts()).toEqual([`${one.digest}.bundle`]);
  });

  it("does not fall over a damaged list, and still knows better than an old state afterwards", async () => {
    await deployOne();
    await writeFile(join(parts.data, "sync", "applied.json"), "{");
    const deployer = new RecordingDeployer();
    await using sync = newSync({ ...parts, deployer });
    expect(await sync.restore()).toEqual({ active: [], failed: [] });
    sync.connect();
    await eventually(() => expect(cloud.last).toMatchObject({ revision: 3, functions: [{ name: "celsius", state: "active" }] }), patiently);
  });
});
