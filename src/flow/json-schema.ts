import { z } from 'zod';
import type { JsonObject } from '../json.js';
import { flowFile } from './schema.js';

/** Editors take a variable for a number, a flag or a word: `replicas: ${{ ENV.REPLICAS }}`. */
const VARIABLE = { type: 'string', pattern: '\\$' } as const;

/** JSON Schema (draft 2020-12) of a flow file, for editors; `loadFlow` checks more than it can say. */
export function flowJsonSchema(): JsonObject {
  const schema = z.toJSONSchema(flowFile, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      // zod drops the default of what it transforms; these are of the input.
      const fallback = z.globalRegistry.get(zodSchema)?.default;
      if (fallback !== undefined) jsonSchema.default = fallback;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      delete jsonSchema.propertyNames; // keys of JSON are always text
      const { type, enum: words, minimum, maximum, ...help } = jsonSchema;
      if (type !== 'integer' && type !== 'number' && type !== 'boolean' && words === undefined) return;
      const exact = { type, enum: words, minimum, maximum };
      for (const key of Object.keys(jsonSchema)) Reflect.deleteProperty(jsonSchema, key);
      Object.assign(jsonSchema, help, { anyOf: [exact, VARIABLE] });
    },
  });
  return JSON.parse(JSON.stringify(schema)) as JsonObject;
}
