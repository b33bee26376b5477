import { requestFromJson, responseToJson } from '../../src/document/request-json.js';
import { decodeDataRequest, encodeDataRequest, type DataRequest } from '../../src/document/request.js';
import { ClipflowError } from '../../src/errors.js';

/** One of the published subprotocols. */
export interface SocketCodec {
  /** The kind of frame that it uses. */
  binary: boolean;
  /** Undefined is the end of the input. @throws INVALID_REQUEST */
  decode(frame: Buffer): DataRequest | undefined;
  encode(response: DataRequest): Uint8Array | string;
}

/** DataRequestProto; one byte is the end. */
export const BYTES: SocketCodec = {
  binary: true,
  decode: (frame) => (frame.length === 1 ? undefined : decodeDataRequest(frame)),
  encode: encodeDataRequest,
};

/** The bodies of `POST /post`; `{}` is the end. */
export const JSON_TEXT: SocketCodec = {
  binary: false,
  decode: (frame) => {
    const value = parse(frame);
    return typeof value === 'object' && value !== null && Object.keys(value).length === 0
      ? undefined
      : requestFromJson(value);
  },
  encode: (response) => JSON.stringify(responseToJson(response)),
};

function parse(frame: Buffer): unknown {
  try {
    return JSON.parse(frame.toString('utf8'));
  } catch (cause) {
    throw new ClipflowError('INVALID_REQUEST', 'a text frame is no JSON', { cause });
  }
}
