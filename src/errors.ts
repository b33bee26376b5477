/**
 * The one table of errors: what a code means and how each protocol says it.
 * `retryable` means that the same request may succeed later without being changed.
 * docs/errors.md mirrors this table; a test holds the two together.
 */
export const ERRORS = {
  INVALID_REQUEST: { http: 422, grpc: 3, retryable: false, meaning: 'The request is malformed or has a wrong type.' },
  UNAUTHENTICATED: { http: 401, grpc: 16, retryable: false, meaning: 'The token is missing or not known.' },
  FORBIDDEN: { http: 403, grpc: 7, retryable: false, meaning: 'The token does not allow this.' },
  INVALID_DOCUMENT: {
    http: 422,
    grpc: 3,
    retryable: false,
    meaning: 'The content of one document cannot be processed.',
  },
  PAYLOAD_TOO_LARGE: {
    http: 413,
    grpc: 8,
    retryable: false,
    meaning: 'The request or a document exceeds a size limit.',
  },
  URI_FORBIDDEN: { http: 403, grpc: 7, retryable: false, meaning: 'The flow does not allow this uri to be fetched.' },
  URI_UNREACHABLE: { http: 424, grpc: 9, retryable: true, meaning: 'The uri could not be fetched.' },
  UNKNOWN_ENDPOINT: { http: 404, grpc: 12, retryable: false, meaning: 'No executor of the flow serves this endpoint.' },
  UNKNOWN_MODEL: { http: 404, grpc: 5, retryable: false, meaning: 'The executor has no model of this name.' },
  NOT_FOUND: { http: 404, grpc: 5, retryable: false, meaning: 'There is no job or file of this id.' },
  OVERLOADED: { http: 429, grpc: 8, retryable: true, meaning: 'The queue is full; try again after a pause.' },
  CANCELLED: { http: 499, grpc: 1, retryable: false, meaning: 'The caller went away before the answer was ready.' },
  DEADLINE_EXCEEDED: {
    http: 504,
    grpc: 4,
    retryable: true,
    meaning: 'The deadline passed before the answer was ready.',
  },
  UNAVAILABLE: { http: 503, grpc: 14, retryable: true, meaning: 'No replica of an executor can take the work.' },
  REPLICA_LOST: { http: 503, grpc: 14, retryable: true, meaning: 'The replica that held the work is gone.' },
  DOCUMENT_KILLS: {
    http: 500,
    grpc: 13,
    retryable: false,
    meaning: 'Each replica that took this document died or hung.',
  },
  EXECUTOR_FAILED: { http: 500, grpc: 13, retryable: false, meaning: 'The code of an executor threw.' },
  INVALID_FLOW: { http: 500, grpc: 9, retryable: false, meaning: 'The flow file is wrong; nothing was started.' },
  INVALID_MODEL: {
    http: 500,
    grpc: 9,
    retryable: false,
    meaning: 'The model folder is incomplete or not a CLIP model.',
  },
  MODEL_UNAVAILABLE: { http: 500, grpc: 9, retryable: true, meaning: 'A model could not be downloaded.' },
  DEVICE_UNAVAILABLE: { http: 500, grpc: 9, retryable: false, meaning: 'The requested device cannot be had here.' },
  INVALID_CONFIG: {
    http: 500,
    grpc: 9,
    retryable: false,
    meaning: 'A setting from a flag, the environment or an executor is wrong.',
  },
  TRANSPORT_FAILED: {
    http: 503,
    grpc: 14,
    retryable: true,
    meaning: 'The transport could not be reached or broke off.',
  },
  INTERNAL: { http: 500, grpc: 13, retryable: false, meaning: 'A fault of clipflow itself.' },
} as const;

export type ErrorCode = keyof typeof ERRORS;

export function isErrorCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERRORS, code);
}

/** An error as it travels between processes. */
export interface ErrorData {
  code: ErrorCode;
  message: string;
}

export class ClipflowError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ClipflowError';
    this.code = code;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  get httpStatus(): number {
    return ERRORS[this.code].http;
  }

  toJSON(): ErrorData {
    return { code: this.code, message: this.message };
  }

  /** Rebuilds an error that came over the wire; a code of a newer version becomes INTERNAL. */
  static fromData(data: ErrorData): ClipflowError {
    return new ClipflowError(isErrorCode(data.code) ? data.code : 'INTERNAL', data.message);
  }
}

/** Anything thrown, as a ClipflowError; what is none yet gets `code`. */
export function toClipflowError(thrown: unknown, code: ErrorCode = 'INTERNAL'): ClipflowError {
  if (thrown instanceof ClipflowError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new ClipflowError(code, message, { cause: thrown });
}

/** Exit code of a process that cannot start because of what it was told (sysexits' EX_CONFIG): restarting is no use. */
export const EXIT_CONFIG = 78;

const START_ERRORS: readonly ErrorCode[] = ['INVALID_FLOW', 'INVALID_MODEL', 'DEVICE_UNAVAILABLE', 'INVALID_CONFIG'];

/** True when the same start would fail again until somebody changes a setting. */
export function isStartError(error: unknown): boolean {
  return error instanceof ClipflowError && START_ERRORS.includes(error.code);
}
