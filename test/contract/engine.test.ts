import { afterAll, beforeAll, beforeEach, describe, vi } from "vitest";
import type { IsolatedVmEngine } from "../../src/runtime/host/isolated-vm.ts";
import { engineWith } from "../support/engine.ts";
import { plainEngine } from "../support/plain-engine.ts";
import { engineContract } from "./engine.contract.ts";
import { engineBatchContract } from "./engine-batch.contract.ts";
import { engineInitContract } from "./engine-init.contract.ts";
import { engineMigrateContract } from "./engine-migrate.contract.ts";
import { engineLogsContract } from "./engine-logs.contract.ts";
import { engineStateContract } from "./engine-state.contract.ts";
import { engineTimersContract } from "./engine-timers.contract.ts";
import { engineFetchContract } from "./engine-fetch.contract.ts";
import { engineLimitsContract } from "./engine-limits.contract.ts";

describe("isolated-vm, with isolates made ahead", () => {
  let engine: IsolatedVmEngine;
  beforeAll(() => void (engine = engineWith(() => true)));
  beforeEach(() => vi.waitUntil(() => engine.ready > 0, { interval: 5 }));
  afterAll(() => engine[Symbol.dispose]());
  engineContract(() => engine);
  engineStateContract(() => engine);
  engineMigrateContract(() => engine);
  engineInitContract(() => engine);
  engineBatchContract(() => engine);
  engineLogsContract(() => engine);
  engineTimersContract(() => engine);
  engineFetchContract(() => engine);
  engineLimitsContract(() => engine);
});

describe("isolated-vm, with nothing made ahead", () => {
  engineContract(() => engineWith(() => false));
  engineStateContract(() => engineWith(() => false));
  engineInitContract(() => engineWith(() => false));
  engineBatchContract(() => engineWith(() => false));
});

/** It has no isolates, and so nothing of what engineLimitsContract describes. */
describe("the plain engine for tests", () => {
  engineContract(plainEngine);
  engineStateContract(plainEngine);
  engineMigrateContract(plainEngine);
  engineInitContract(plainEngine);
  engineBatchContract(plainEngine);
  engineLogsContract(plainEngine);
  engineTimersContract(plainEngine);
  engineFetchContract(plainEngine);
});
