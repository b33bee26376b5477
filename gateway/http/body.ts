import type { FastifyInstance } from 'fastify';
import { ValidationError } from '../../src/document/validation-error.js';

/**
 * Every body is read as JSON, whatever its content type says: people forget the header, and no endpoint takes anything
 * else. A syntax error is answered as FastAPI does.
 * @param mayBeEmpty clients name a type even where they send no body
 */
export function parseBodiesAsJson(app: FastifyInstance, { mayBeEmpty = false } = {}): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, mayBeEmpty && body.length === 0 ? undefined : parse(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

function parse(body: Buffer): unknown {
  const text = body.toString('utf8');
  if (text.trim() === '') throw ValidationError.at(['body'], 'field required', 'value_error.missing');
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const position = Number(/position (\d+)/.exec(message)?.[1] ?? text.length);
    throw ValidationError.at(['body', position], `the body is no JSON: ${message}`, 'value_error.jsondecode');
  }
}
