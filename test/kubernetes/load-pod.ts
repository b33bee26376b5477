/**
 * Runs in a pod of the cluster (as text, by `node --eval`): documents without pause to the gateway's Service over gRPC
 * and HTTP until /tmp/stop is there, then a line of JSON with the counts.
 */
export const LOAD = `
import { existsSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import { Document } from '/app/dist/src/document/document.js';
import { decodeDataRequest, encodeDataRequest } from '/app/dist/src/document/request.js';
const host = process.env.GATEWAY;
const counts = { grpc: 0, http: 0, failures: [] };
const asIs = (bytes) => bytes;
const request = Buffer.from(encodeDataRequest({
  header: { requestId: 'load', execEndpoint: '/encode' }, parameters: {}, routes: [],
  docs: ['a red circle', 'two hearts'].map((text) => new Document({ text }).toBytes()),
}));
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
  while (!existsSync('/tmp/stop')) await call().catch((error) => counts.failures.push(String(error)));
}
const told = setInterval(() => console.log(JSON.stringify(counts)), 500);
await Promise.all([overGrpc, overGrpc, overHttp, overHttp].map(worker));
clearInterval(told);
console.log(JSON.stringify({ ...counts, done: true }));
`;
