import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { JsonObject, JsonValue } from '../json.js';
import { Document } from './document.js';
import { documentFromJson, documentToJson } from './json.js';
import type { DataRequest, Route } from './request.js';
import { formatTime, type Status } from './status.js';
import { validate, ValidationError } from './validation-error.js';

const text = z.string().nullish();

/** The header's own keys may also stand at the top level, where jina reads them. */
const address = {
  request_id: text,
  requestId: text,
  exec_endpoint: text,
  execEndpoint: text,
  target_executor: text,
  targetExecutor: text,
};

const bodySchema = z.object({
  ...address,
  header: z.object(address).nullish(),
  parameters: z.record(z.string(), z.unknown()).nullish(),
  data: z.unknown().optional(),
});

const listSchema = z.array(z.unknown());
const docsSchema = z.object({ docs: listSchema.nullish() });

/**
 * The request in the JSON body of `POST /post`, as clip_client sends it and as people write it: keys in snake_case or
 * camelCase, at the top level (which wins) or in `header`; `data` a list of documents, `{docs: [...]}` or nothing.
 * The endpoint is '/' unless given, the request id is generated.
 *
 * @throws ValidationError with FastAPI's locations, from ['body'] on.
 */
export function requestFromJson(value: unknown): DataRequest {
  const body = validate(bodySchema, value, ['body']);
  const header = body.header ?? {};
  const target =
    body.target_executor ?? body.targetExecutor ?? header.target_executor ?? header.targetExecutor ?? undefined;
  return {
    header: {
      requestId: body.request_id ?? body.requestId ?? header.request_id ?? header.requestId ?? newRequestId(),
      execEndpoint: body.exec_endpoint ?? body.execEndpoint ?? header.exec_endpoint ?? header.execEndpoint ?? '/',
      ...(target === undefined ? {} : { targetExecutor: target }),
    },
    // What JSON.parse made is JSON.
    parameters: (body.parameters ?? {}) as JsonObject,
    routes: [],
    docs: docsFromJson(body.data),
  };
}

/**
 * The JSON body that answers it: camelCase in header and routes, snake_case in the documents.
 *
 * @throws ClipflowError INVALID_DOCUMENT when the bytes of a document are malformed.
 */
export function responseToJson(response: DataRequest): JsonObject {
  const { header } = response;
  return {
    header: {
      requestId: header.requestId,
      status: statusToJson(header.status),
      execEndpoint: header.execEndpoint,
      targetExecutor: header.targetExecutor ?? '',
    },
    parameters: response.parameters,
    routes: response.routes.map(routeToJson),
    data: response.docs.map((doc) => documentToJson(Document.fromBytes(doc))),
  };
}

function docsFromJson(data: unknown): Uint8Array[] {
  if (data == null) return [];
  const [list, location] = Array.isArray(data)
    ? [data as unknown[], ['body', 'data']]
    : [docsOf(data), ['body', 'data', 'docs']];
  return list.map((doc, i) => documentFromJson(doc, [...location, i]).toBytes());
}

function docsOf(data: unknown): unknown[] {
  if (typeof data !== 'object') {
    throw ValidationError.at(['body', 'data'], 'value is not a valid list', 'type_error.list');
  }
  return validate(docsSchema, data, ['body', 'data']).docs ?? [];
}

function routeToJson(route: Route): JsonObject {
  return {
    executor: route.executor,
    startTime: timeToJson(route.startTime),
    endTime: timeToJson(route.endTime),
    status: statusToJson(route.status),
  };
}

function timeToJson(time: number | undefined): JsonValue {
  return time === undefined ? null : formatTime(time);
}

export function statusToJson(status: Status | undefined): JsonValue {
  if (!status) return null;
  const { code, description, exception } = status;
  return { code, description, exception: exception ? { ...exception } : null };
}

function newRequestId(): string {
  return randomUUID().replaceAll('-', '');
}
