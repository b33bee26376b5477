import { BinaryWriter } from '@bufbuild/protobuf/wire';
import type { JsonObject } from '../json.js';
import { framedLength, joinedLength, splitDocuments, writeDocuments } from './array.js';
import { readStatus, readTimestamp, writeStatus, writeTimestamp, type Status } from './status.js';
import { readStruct, writeStruct } from './struct.js';
import { BYTES, decoding, FieldCursor, merged, tagOf, VARINT } from './wire.js';

/** HeaderProto of jina 3.15. */
export interface RequestHeader {
  requestId: string;
  /** '' when the sender left it out. */
  execEndpoint: string;
  /** A regular expression on the executor's name. */
  targetExecutor?: string;
  /** Milliseconds. */
  timeout?: number;
  status?: Status;
}

/** RouteProto: which executor saw the request when. Times in milliseconds since the epoch, kept to the microsecond. */
export interface Route {
  executor: string;
  startTime?: number;
  endTime?: number;
  status?: Status;
}

/** DataRequestProto of jina 3.15: what a client sends and what it gets back. */
export interface DataRequest {
  header: RequestHeader;
  parameters: JsonObject;
  /** The parameters as they came; encoded instead of `parameters` when given, so that they are echoed unchanged. */
  parametersBytes?: Uint8Array;
  routes: Route[];
  /** DocumentProto each. */
  docs: Uint8Array[];
}

const HEADER = tagOf(1, BYTES);
const PARAMETERS = tagOf(2, BYTES);
const ROUTES = tagOf(3, BYTES);
const DATA = tagOf(4, BYTES);
const DATA_DOCS = tagOf(1, BYTES);
const DATA_DOCS_BYTES = tagOf(2, BYTES);

const HEADER_REQUEST_ID = tagOf(1, BYTES);
const HEADER_STATUS = tagOf(2, BYTES);
const HEADER_EXEC_ENDPOINT = tagOf(3, BYTES);
const HEADER_TARGET_EXECUTOR = tagOf(4, BYTES);
const HEADER_TIMEOUT = tagOf(5, VARINT);

const ROUTE_EXECUTOR = tagOf(1, BYTES);
const ROUTE_START = tagOf(2, BYTES);
const ROUTE_END = tagOf(3, BYTES);
const ROUTE_STATUS = tagOf(4, BYTES);

/**
 * Reads a DataRequestProto; the documents stay views of `bytes`, undecoded.
 *
 * @throws ClipflowError INVALID_REQUEST that says in which part and at which byte the message is malformed.
 */
export function decodeDataRequest(bytes: Uint8Array): DataRequest {
  const headers: Uint8Array[] = [];
  const parameters: Uint8Array[] = [];
  const data: Uint8Array[] = [];
  const routes: Route[] = [];
  reading('DataRequestProto', () => {
    for (const field = new FieldCursor(bytes); field.next();) {
      if (field.tag === HEADER) headers.push(field.payload());
      else if (field.tag === PARAMETERS) parameters.push(field.payload());
      else if (field.tag === DATA) data.push(field.payload());
      else if (field.tag === ROUTES) routes.push(readRoute(field.payload()));
    }
  });
  return {
    header: reading('DataRequestProto.header', () => readHeader(merged(headers))),
    ...readParameters(parameters),
    routes,
    docs: reading('DataRequestProto.data', () => readDocs(merged(data))),
  };
}

/**
 * Writes a DataRequestProto as the peer answers it: `exec_endpoint`, `target_executor` and `data.docs` are present
 * even when they are empty.
 */
export function encodeDataRequest(request: DataRequest): Buffer {
  const docsLength = joinedLength(request.docs);
  const writer = new BinaryWriter();
  writeHeader(writer, request.header);
  const parameters =
    request.parametersBytes ?? reading('DataRequestProto.parameters', () => writeStruct(request.parameters));
  if (request.parametersBytes || parameters.length > 0) writer.uint32(PARAMETERS).bytes(parameters);
  for (const route of request.routes) writeRoute(writer, route);
  const head = writer.uint32(DATA).uint32(framedLength(docsLength)).uint32(DATA_DOCS).uint32(docsLength).finish();
  const bytes = Buffer.allocUnsafe(head.length + docsLength);
  bytes.set(head);
  writeDocuments(bytes, head.length, request.docs);
  return bytes;
}

function readParameters(payloads: readonly Uint8Array[]): Pick<DataRequest, 'parameters' | 'parametersBytes'> {
  if (payloads.length === 0) return { parameters: {} };
  const parametersBytes = merged(payloads);
  return { parameters: reading('DataRequestProto.parameters', () => readStruct(parametersBytes)), parametersBytes };
}

function readDocs(payload: Uint8Array): Uint8Array[] {
  let docs: Uint8Array[] = [];
  let tag = 0;
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag !== DATA_DOCS && field.tag !== DATA_DOCS_BYTES) continue;
    // They are a oneof: `docs` twice is merged, else the last one counts.
    if (field.tag !== tag || tag === DATA_DOCS_BYTES) docs = [];
    tag = field.tag;
    for (const doc of splitDocuments(field.payload())) docs.push(doc);
  }
  return docs;
}

function readHeader(payload: Uint8Array): RequestHeader {
  const header: RequestHeader = { requestId: '', execEndpoint: '' };
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag === HEADER_REQUEST_ID) header.requestId = field.text();
    else if (field.tag === HEADER_STATUS) header.status = readStatus(field.payload());
    else if (field.tag === HEADER_EXEC_ENDPOINT) header.execEndpoint = field.text();
    else if (field.tag === HEADER_TARGET_EXECUTOR) header.targetExecutor = field.text();
    else if (field.tag === HEADER_TIMEOUT) header.timeout = field.uint32();
  }
  return header;
}

function writeHeader(writer: BinaryWriter, header: RequestHeader): void {
  writer.uint32(HEADER).fork();
  if (header.requestId !== '') writer.uint32(HEADER_REQUEST_ID).string(header.requestId);
  if (header.status) writeStatus(writer, HEADER_STATUS, header.status);
  writer.uint32(HEADER_EXEC_ENDPOINT).string(header.execEndpoint);
  writer.uint32(HEADER_TARGET_EXECUTOR).string(header.targetExecutor ?? '');
  if (header.timeout !== undefined) writer.uint32(HEADER_TIMEOUT).uint32(header.timeout);
  writer.join();
}

function readRoute(payload: Uint8Array): Route {
  const route: Route = { executor: '' };
  for (const field = new FieldCursor(payload); field.next();) {
    if (field.tag === ROUTE_EXECUTOR) route.executor = field.text();
    else if (field.tag === ROUTE_START) route.startTime = readTimestamp(field.payload());
    else if (field.tag === ROUTE_END) route.endTime = readTimestamp(field.payload());
    else if (field.tag === ROUTE_STATUS) route.status = readStatus(field.payload());
  }
  return route;
}

function writeRoute(writer: BinaryWriter, route: Route): void {
  writer.uint32(ROUTES).fork();
  if (route.executor !== '') writer.uint32(ROUTE_EXECUTOR).string(route.executor);
  if (route.startTime !== undefined) writeTimestamp(writer, ROUTE_START, route.startTime);
  if (route.endTime !== undefined) writeTimestamp(writer, ROUTE_END, route.endTime);
  if (route.status) writeStatus(writer, ROUTE_STATUS, route.status);
  writer.join();
}

function reading<T>(what: string, read: () => T): T {
  return decoding('INVALID_REQUEST', what, read);
}
