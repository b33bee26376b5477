import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { ProtocolContext } from '../protocol-context.js';
import { about } from '../about.js';

/** EndpointsProto. */
export function endpoints({ dispatch }: ProtocolContext): Buffer {
  const writer = new BinaryWriter();
  for (const endpoint of dispatch.endpoints()) writer.tag(1, WireType.LengthDelimited).string(endpoint);
  return Buffer.from(writer.finish());
}

/** JinaInfoProto: two maps of text to text. */
export function info(): Buffer {
  const writer = new BinaryWriter();
  const { jina, envs } = about();
  for (const [number, map] of [jina, envs].entries()) {
    for (const [key, value] of Object.entries(map)) {
      writer.tag(number + 1, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value).join();
    }
  }
  return Buffer.from(writer.finish());
}
