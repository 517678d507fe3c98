import { BUNDLE_BYTES_MAX } from "../core/bundle.ts";
import { controlApi, DIGEST_HEADER, EVENTS_LIMIT, FUNCTION_NAME } from "../core/control-api.ts";
import { z } from "zod";

type Answer = keyof typeof controlApi;

interface Operation {
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly unknown[];
  readonly requestBody?: unknown;
  readonly responses: Record<string, unknown>;
}

const error = { description: "What went wrong.", content: { "application/json": { schema: { $ref: "#/components/schemas/error" } } } };

function json(description: string, schema: unknown): unknown {
  return { description, content: { "application/json": { schema } } };
}

/** An operation that answers 200 with the named schema of `controlApi`, or an error with one of the other statuses. */
function answers(name: Answer, description: string, errors: readonly number[]): Record<string, unknown> {
  return {
    200: json(description, { $ref: `#/components/schemas/${name}` }),
    ...Object.fromEntries(errors.map((status) => [status, error])),
  };
}

const functionName = { name: "name", in: "path", required: true, schema: { type: "string", pattern: FUNCTION_NAME.source } };

function query(name: string, description: string, schema: unknown): unknown {
  return { name, in: "query", required: false, description, schema };
}

const ok = { 200: json("It is.", { type: "object", properties: { ok: { const: true } }, required: ["ok"] }) };

const paths: Record<string, Record<string, Operation>> = {
  "/v1/functions": {
    get: { summary: "The deployed functions, by name.", responses: answers("functions", "All of them.", [503]) },
  },
  "/v1/functions/{name}": {
    put: {
      summary: "Publish a bundle as the function's latest version.",
      description: `Every connected gateway is told at once. A digest that is the latest already changes nothing. At most ${BUNDLE_BYTES_MAX} bytes.`,
      parameters: [
        functionName,
        {
          name: DIGEST_HEADER,
          in: "header",
          required: false,
          description: "sha256 of the body in hexadecimal; checked.",
          schema: { type: "string" },
        },
      ],
      requestBody: { required: true, content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } },
      responses: answers("published", "The version that is the latest now.", [400, 413, 422, 503, 507]),
    },
    delete: {
      summary: "Take the function from every gateway. Its versions stay.",
      parameters: [functionName],
      responses: answers("removed", "It is no longer deployed.", [400, 404, 503]),
    },
  },
  "/v1/functions/{name}/versions": {
    get: {
      summary: "The versions of a function, newest first.",
      parameters: [functionName],
      responses: answers("versions", "All of them.", [400, 404, 503]),
    },
  },
  "/v1/functions/{name}/versions/{version}/bundle": {
    get: {
      summary: "The bundle of a version, as it was published.",
      description: `The header ${DIGEST_HEADER} carries its sha256.`,
      parameters: [functionName, { name: "version", in: "path", required: true, schema: { type: "integer", minimum: 1 } }],
      responses: {
        200: { description: "The bytes.", content: { "application/octet-stream": { schema: { type: "string", format: "binary" } } } },
        400: error,
        404: error,
        503: error,
      },
    },
  },
  "/v1/gateways": {
    get: { summary: "The gateways that ever connected.", responses: answers("gateways", "All of them.", [503]) },
  },
  "/v1/events": {
    get: {
      summary: "Stored events as CloudEvents 1.0, page by page in the order in which they were stored.",
      parameters: [
        query("after", "Only events behind this position, in the chosen order.", { type: "integer", minimum: 0 }),
        query("limit", "Events on a page.", { type: "integer", minimum: 1, maximum: EVENTS_LIMIT.max, default: EVENTS_LIMIT.default }),
        query("order", "By position.", { enum: ["asc", "desc"], default: "asc" }),
        query("function", "Only events of this function.", { type: "string" }),
        query("gateway", "Only events of this gateway.", { type: "string" }),
        query("type", "Only events of this type.", { type: "string" }),
      ],
      responses: answers("events", "One page.", [400, 503]),
    },
  },
  "/v1/stats": {
    get: { summary: "What is stored, and what arrived since the start.", responses: answers("stats", "The counters.", [503]) },
  },
  "/healthz": { get: { summary: "Whether the process runs.", responses: ok } },
  "/readyz": { get: { summary: "Whether it can serve: the store answers.", responses: { ...ok, 503: error } } },
  "/openapi.json": {
    get: { summary: "This description.", responses: { 200: json("OpenAPI 3.1.", { type: "object" }) } },
  },
};

/** OpenAPI 3.1. The routes are written by hand; the answers are the schemas that clients check them with. */
export const openapi = {
  openapi: "3.1.0",
  info: { title: "Millrace control plane", version: "1", license: { name: "Apache-2.0", identifier: "Apache-2.0" } },
  paths,
  components: {
    schemas: Object.fromEntries(Object.entries(controlApi).map(([name, schema]) => [name, z.toJSONSchema(schema)])),
  },
};
