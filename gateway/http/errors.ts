import type { FastifyReply, FastifyRequest } from 'fastify';
import { ValidationError } from '../../src/document/validation-error.js';
import { toClipflowError, type ClipflowError } from '../../src/errors.js';
import type { Logger } from '../../src/telemetry/log.js';
import { httpStatusOf, retryAfter } from '../answer.js';

/** An error as FastAPI writes it: `detail` is a text, or a list of what is wrong with the body. */
export function sendError(thrown: unknown, request: FastifyRequest, reply: FastifyReply, log: Logger): FastifyReply {
  if (thrown instanceof ValidationError) return reply.code(422).send({ detail: thrown.details });
  const error = toHttpError(thrown);
  if (error.code === 'INTERNAL')
    log.error({ event: 'request_failed', method: request.method, url: request.url, err: thrown });
  const pause = retryAfter(error.code);
  if (pause !== undefined) void reply.header('retry-after', pause);
  return reply.code(httpStatusOf(error)).send({ detail: `${error.code}: ${error.message}` });
}

/** What was thrown on the way of an HTTP request; the server's own refusals get our codes. */
export function toHttpError(thrown: unknown): ClipflowError {
  return fromFastify(thrown) ?? toClipflowError(thrown);
}

function fromFastify(thrown: unknown): ClipflowError | undefined {
  const code = (thrown as { code?: unknown }).code;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return toClipflowError(
      `the body is larger than this server takes (with.limits.body_bytes of the flow): ${message}`,
      'PAYLOAD_TOO_LARGE',
    );
  }
  const status = (thrown as { statusCode?: unknown }).statusCode;
  if (typeof status === 'number' && status < 500) return toClipflowError(message, 'INVALID_REQUEST');
  return undefined;
}
