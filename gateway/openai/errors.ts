import type { FastifyReply, FastifyRequest } from 'fastify';
import { ClipflowError, type ErrorCode } from '../../src/errors.js';
import type { Logger } from '../../src/telemetry/log.js';
import { httpStatusOf, retryAfter } from '../answer.js';
import { toHttpError } from '../http/errors.js';

/** An error about one parameter of the body, named as OpenAI names it: `input[2]`. */
export class ParameterError extends ClipflowError {
  constructor(
    readonly parameter: string,
    message: string,
    code: ErrorCode = 'INVALID_REQUEST',
  ) {
    super(code, `${parameter}: ${message}`);
  }
}

export function orThrow<T>(value: T | ParameterError): T {
  if (value instanceof ParameterError) throw value;
  return value;
}

/** Codes that OpenAI publishes; the others are ours in lower case. */
const CODES: Partial<Record<ErrorCode, string>> = {
  UNAUTHENTICATED: 'invalid_api_key',
  UNKNOWN_MODEL: 'model_not_found',
  OVERLOADED: 'rate_limit_exceeded',
};

/** What the caller sent is a 400 to OpenAI's clients, whatever was wrong with it. */
const BAD_REQUEST: readonly number[] = [403, 422, 424];

export function openAiStatusOf(error: ClipflowError): number {
  const status = httpStatusOf(error);
  return BAD_REQUEST.includes(status) ? 400 : status;
}

/** As OpenAI writes errors. */
export interface OpenAiError {
  error: { message: string; type: string; param: string | null; code: string | null };
}

export function openAiError(error: ClipflowError): OpenAiError {
  const { code, message } = error;
  const status = openAiStatusOf(error);
  const type = status === 429 ? 'rate_limit_error' : status < 500 ? 'invalid_request_error' : 'server_error';
  const param = error instanceof ParameterError ? error.parameter : code === 'UNKNOWN_MODEL' ? 'model' : null;
  return { error: { message, type, param, code: CODES[code] ?? code.toLowerCase() } };
}

export function sendOpenAiError(
  thrown: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: Logger,
): FastifyReply {
  const error = toHttpError(thrown);
  // Those that were met on the way through the flow are logged there.
  if (error.code === 'INTERNAL' && error !== thrown)
    log.error({ event: 'request_failed', method: request.method, url: request.url, err: thrown });
  const pause = retryAfter(error.code);
  if (pause !== undefined) void reply.header('retry-after', pause);
  return reply.code(openAiStatusOf(error)).send(openAiError(error));
}
