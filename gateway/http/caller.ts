import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Cancellation, type CancelSignal } from '../../src/cancel.js';
import type { Caller } from '../auth/tokens.js';
import { callSettings, peerOf, type CallOrigin } from '../call-settings.js';
import type { ProtocolContext } from '../protocol-context.js';

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | null;
  }
}

/** From here on callers of this scope must have a token where the flow asks for one: checked before the body is read. */
export function requireToken(scope: FastifyInstance, { tokens }: ProtocolContext): void {
  scope.decorateRequest('caller', null);
  scope.addHook('onRequest', async (request) => {
    request.caller = tokens.check(request.headers.authorization, request.headers['x-clipflow-caller']?.toString());
  });
}

/** Who sent a request, and what its headers say. */
export function originOf({ tokens }: ProtocolContext, request: FastifyRequest, reply: FastifyReply): CallOrigin {
  return {
    caller: request.caller ?? tokens.check(undefined),
    peer: peerOf(request.socket),
    ...callSettings((name) => request.headers[name]?.toString()),
    signal: hangUpSignal(reply),
  };
}

/** Aborts when the caller hangs up before it has its answer. */
function hangUpSignal(reply: FastifyReply): CancelSignal {
  const gone = new Cancellation();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return gone;
}
