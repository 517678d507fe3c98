import { defineConfig } from "vitest/config";

const shared = { pool: "forks" as const, execArgv: ["--no-node-snapshot"] };

export default defineConfig({
  test: {
    ...shared,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts", "functions/**/*.test.ts"] } },
      { extends: true, test: { name: "contract", include: ["test/contract/**/*.test.ts"] } },
      { extends: true, test: { name: "architecture", include: ["test/architecture/**/*.test.ts"] } },
      { extends: true, test: { name: "integration", include: ["test/integration/**/*.test.ts"] } },
      { extends: true, test: { name: "fault", include: ["test/fault/**/*.test.ts"] } },
    ],
    coverage: { provider: "v8", include: ["src/**"], reporter: ["text-summary", "json-summary"] },
  },
  resolve: {
    alias: {
      "millrace/std": new URL("src/sdk/std.ts", import.meta.url).pathname,
      "millrace/testing": new URL("src/sdk/testing.ts", import.meta.url).pathname,
      millrace: new URL("src/sdk/index.ts", import.meta.url).pathname,
    },
  },
});
