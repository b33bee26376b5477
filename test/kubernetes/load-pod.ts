import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { IMAGE, type Release } from './release.js';

export interface Counts {
  grpc: number;
  http: number;
  failures: string[];
  done?: boolean;
}

/** Clients in a pod of their own, as clients are. */
export class LoadPod {
  private constructor(private readonly release: Release) {}

  static async start(release: Release): Promise<LoadPod> {
    const overrides = {
      spec: {
        securityContext: { runAsUser: 1000, runAsNonRoot: true },
        containers: [
          {
            name: 'load',
            image: IMAGE,
            command: ['node', '--input-type=module', '--eval', SCRIPT],
            env: [{ name: 'GATEWAY', value: 'x-gateway:51000' }],
          },
        ],
      },
    };
    await release.kubectl(
      'run',
      'load',
      `--image=${IMAGE}`,
      '--restart=Never',
      `--overrides=${JSON.stringify(overrides)}`,
    );
    const load = new LoadPod(release);
    await load.untilAnswered(50);
    return load;
  }

  /** Of both protocols, from now on. */
  async untilAnswered(more: number): Promise<void> {
    const before = await this.#counts();
    for (;;) {
      const { grpc, http, failures } = await this.#counts();
      assert.deepEqual(failures, []);
      if (grpc >= before.grpc + more && http >= before.http + more) return;
      await delay(200);
    }
  }

  /** The counts of all its time. */
  async stop(): Promise<Counts> {
    await this.release.kubectl('exec', 'load', '--', 'node', '--eval', "require('fs').writeFileSync('/tmp/stop', '')");
    for (;;) {
      const counts = await this.#counts();
      if (counts.done) return counts;
      await delay(200);
    }
  }

  async #counts(): Promise<Counts> {
    const lines = await this.release.kubectl('logs', 'load', '--tail=1').catch(() => '');
    return lines.startsWith('{') ? (JSON.parse(lines) as Counts) : { grpc: 0, http: 0, failures: [] };
  }
}

/**
 * What runs in the pod: documents without pause to the gateway's Service over gRPC and HTTP until /tmp/stop is there,
 * and a line of JSON with the counts now and then.
 */
const SCRIPT = `
import { existsSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import { Document } from '/app/dist/src/document/document.js';
import { decodeDataRequest, encodeDataRequest } from '/app/dist/src/document/request.js';
const host = process.env.GATEWAY;
const counts = { grpc: 0, http: 0, failures: [] };
const asIs = (bytes) => bytes;
const request = encodeDataRequest({
  header: { requestId: 'load', execEndpoint: '/encode' }, parameters: {}, routes: [],
  docs: ['a red circle', 'two hearts'].map((text) => new Document({ text }).toBytes()),
});
async function overGrpc() {
  const client = new grpc.Client(host, grpc.credentials.createInsecure());
  const path = '/jina.JinaSingleDataRequestRPC/process_single_data';
  const bytes = await new Promise((resolve, reject) => client.makeUnaryRequest(path, asIs, asIs, request,
    { deadline: Date.now() + 60000 }, (error, answer) => error ? reject(error) : resolve(answer)));
  const { header, docs } = decodeDataRequest(bytes);
  if (header.status || !docs.every((doc) => Document.fromBytes(doc).embedding)) throw new Error(JSON.stringify(header));
  counts.grpc += 1;
}
async function overHttp() {
  const body = JSON.stringify({ exec_endpoint: '/encode', data: [{ text: 'a red circle' }] });
  const answer = await fetch('http://' + host + '/post', { method: 'POST', body, headers: { connection: 'close' } });
  const { header, data } = await answer.json();
  if (header?.status !== null || !data[0].embedding) throw new Error(JSON.stringify(header));
  counts.http += 1;
}
async function worker(call) {
  while (!existsSync('/tmp/stop')) await call().catch((error) => counts.failures.push([error, error.cause, new Date().toISOString()].join(' ')));
}
const told = setInterval(() => console.log(JSON.stringify(counts)), 500);
await Promise.all([overGrpc, overGrpc, overHttp, overHttp].map(worker));
clearInterval(told);
console.log(JSON.stringify({ ...counts, done: true }));
`;
