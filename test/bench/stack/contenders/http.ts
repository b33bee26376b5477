import { Pool } from 'undici';
import { z } from 'zod';
import { ENDPOINTS, type Contender } from '../contender.js';
import type { Content } from '../../workload.js';

const Embedded = z.object({ embedding: z.array(z.number()) });
const Answer = z.object({
  header: z.object({ status: z.null() }),
  data: z.tuple([Embedded], Embedded),
});

/** `POST /post` with JSON, as clip-client sends it over HTTP: without getting the images back. */
export function openHttp(url: string): Contender {
  const pool = new Pool(url);
  return {
    prepare: (batch, model) => {
      const body = JSON.stringify({
        execEndpoint: ENDPOINTS[model],
        parameters: { drop_image_content: true },
        data: batch.map(toJson),
      });
      return async () => {
        const options = {
          path: '/post',
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body,
        } as const;
        const response = await pool.request(options);
        const bytes = await response.body.arrayBuffer();
        if (response.statusCode !== 200) {
          throw new Error(`HTTP ${response.statusCode}: ${Buffer.from(bytes).toString('utf8', 0, 500)}`);
        }
        return () => Answer.parse(JSON.parse(Buffer.from(bytes).toString())).data[0].embedding;
      };
    },
  };
}

function toJson(content: Content): object {
  return 'text' in content ? content : { blob: Buffer.from(content.image).toString('base64') };
}
