import { z } from 'zod';
import { ClipflowError, isErrorCode, type ErrorCode, type ErrorData } from './errors.js';
import { JsonObjectSchema, type JsonObject } from './json.js';
import type { Message } from './transport/transport.js';

/** A batch on its way to a replica: what to do, and the documents (DocumentProto bytes). */
export interface Call {
  endpoint: string;
  parameters: JsonObject;
  docs: readonly Uint8Array[];
}

/** What became of a document. */
export type Outcome =
  { doc: Uint8Array; /** That its text came to, where an executor counted. */ tokens?: number } | { error: ErrorData };

const CallHeader = z.object({
  endpoint: z.string(),
  parameters: JsonObjectSchema,
});

const AnswerHeader = z.object({
  held: z.int().nonnegative().default(0),
  /** By index of the document. */
  tokens: z.record(z.string(), z.int().nonnegative()).default({}),
  errors: z.array(
    z.object({
      index: z.int().nonnegative(),
      code: z.custom<ErrorCode>(isErrorCode).catch('INTERNAL'),
      message: z.string(),
    }),
  ),
});

export function encodeCall({ endpoint, parameters, docs }: Call): Message {
  return { header: { endpoint, parameters }, parts: docs };
}

export function decodeCall(message: Message): Call {
  const { endpoint, parameters } = CallHeader.parse(message.header);
  return { endpoint, parameters, docs: message.parts };
}

/**
 * One outcome per document, in the order of the call. A failed document travels as an empty part, and its error in the
 * header.
 * @param held documents that the replica still has, from all gateways
 */
export function encodeOutcomes(outcomes: readonly Outcome[], held: number): Message {
  const errors = outcomes.flatMap((outcome, index) => ('error' in outcome ? [{ index, ...outcome.error }] : []));
  const tokens = Object.fromEntries(
    outcomes.flatMap((outcome, index) =>
      'doc' in outcome && outcome.tokens !== undefined ? [[index, outcome.tokens]] : [],
    ),
  );
  return {
    header: { held, errors, tokens },
    parts: outcomes.map((outcome) => ('doc' in outcome ? outcome.doc : new Uint8Array())),
  };
}

/** @param expected documents that the call held */
export function decodeOutcomes(message: Message, expected: number): { outcomes: Outcome[]; held: number } {
  const { held, errors, tokens } = AnswerHeader.parse(message.header);
  if (message.parts.length !== expected) {
    throw new ClipflowError(
      'INTERNAL',
      `a replica answered ${message.parts.length} documents to a call of ${expected}`,
    );
  }
  const outcomes: Outcome[] = message.parts.map((doc, index) => {
    const counted = tokens[index];
    return counted === undefined ? { doc } : { doc, tokens: counted };
  });
  for (const { index, ...error } of errors) outcomes[index] = { error };
  return { outcomes, held };
}
