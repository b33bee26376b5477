import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { FastifyInstance } from 'fastify';
import { ClipflowError } from '../../src/errors.js';
import { sendError } from '../http/errors.js';
import type { ProtocolContext } from '../protocol-context.js';
import type { JobsApi } from './jobs-api.js';

export const BOARD_PATH = '/queues';

/** A page that shows the queue, and lets it be changed: everyone's tasks. Browsers send the token as the password. */
export async function addBoard(app: FastifyInstance, { tokens, log }: ProtocolContext, api: JobsApi): Promise<void> {
  const adapter = new FastifyAdapter();
  adapter.setBasePath(BOARD_PATH);
  createBullBoard({
    queues: [new BullMQAdapter(api.control.queue.bull, { description: 'Tasks of bulk jobs' })],
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: 'clipflow' } },
  });
  await app.register(async (scope) => {
    scope.addHook('onRequest', async (request, reply) => {
      try {
        const { name, operator } = tokens.check(tokenOf(request.headers.authorization));
        if (!operator)
          throw new ClipflowError(
            'FORBIDDEN',
            `this page is for operators: ${name} needs \`operator: true\` in the tokens file`,
          );
        await api.run(async () => {});
      } catch (error) {
        if (error instanceof ClipflowError && error.code === 'UNAUTHENTICATED')
          void reply.header('www-authenticate', 'Basic realm="clipflow: any name, and a token as password"');
        // The board answers whatever is thrown with 500.
        return sendError(error, request, reply, log);
      }
    });
    await scope.register(adapter.registerPlugin(), { prefix: BOARD_PATH });
  });
}

function tokenOf(authorization: string | undefined): string | undefined {
  const basic = /^Basic (.+)$/i.exec(authorization ?? '')?.[1];
  if (basic === undefined) return authorization;
  const [, password] = /^[^:]*:(.*)$/s.exec(Buffer.from(basic, 'base64').toString('utf8')) ?? [];
  if (password !== undefined) return password;
  throw new ClipflowError('UNAUTHENTICATED', 'the Authorization header is malformed');
}
