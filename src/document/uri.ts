import { lookup } from 'node:dns';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { isIP, type LookupFunction } from 'node:net';
import { fileURLToPath } from 'node:url';
import ipaddr from 'ipaddr.js';
import { Agent, request } from 'undici';
import { ClipflowError } from '../errors.js';

const URI_SOURCES = ['public', 'private', 'file'] as const;

/** Which uris the server may fetch; `data:` is always allowed. */
export interface UriPolicy {
  /** http(s) to public addresses; http(s) to private addresses; local files. @default ['public'] */
  allow: readonly (typeof URI_SOURCES)[number][];
}

export interface UriLoaderOptions extends UriPolicy {
  /** Largest content in bytes. */
  maxBytes: number;
  /** Time for everything, redirects and DNS included, in milliseconds. */
  timeoutMs: number;
}

export interface UriContent {
  bytes: Uint8Array;
  /** Lower case, without parameters; only what the source itself says. */
  mimeType?: string;
}

/** Fetches one uri; aborting `signal` ends it with CANCELLED. */
export type UriLoader = (uri: string, signal?: AbortSignal) => Promise<UriContent>;

const MAX_REDIRECTS = 5;
const REDIRECTS = [301, 302, 303, 307, 308];

/** The value of CLIPFLOW_URI_ALLOW, such as `public,private,file`; empty allows `data:` only. */
export function parseUriAllow(text: string): UriPolicy['allow'] {
  const names = text.split(',').map((name) => name.trim());
  return names.filter(Boolean).map((name) => {
    const known = URI_SOURCES.find((source) => source === name);
    if (known) return known;
    throw new ClipflowError(
      'INVALID_CONFIG',
      `CLIPFLOW_URI_ALLOW names '${name}'; it takes ${URI_SOURCES.join(', ')}, separated by commas.`,
    );
  });
}

/**
 * Makes a loader for `data:`, http(s), `file:` uris and plain paths. Every address that a host name resolves to is
 * checked when the connection is made, at each redirect anew, so a name cannot change its address in between.
 *
 * The loader throws ClipflowError URI_FORBIDDEN, URI_UNREACHABLE, PAYLOAD_TOO_LARGE, INVALID_DOCUMENT or CANCELLED.
 */
export function createUriLoader(options: UriLoaderOptions): UriLoader {
  const agent = new Agent({ connect: { lookup: guardedLookup(options.allow) } });
  return async (uri, signal) => {
    const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(uri)?.[1]?.toLowerCase();
    switch (scheme) {
      case 'data':
        return decodeDataUri(uri, options.maxBytes);
      case 'http':
      case 'https':
        return fetchHttp(uri, options, agent, signal);
      case 'file':
      case undefined:
        return readLocal(uri, options, scheme !== undefined);
      default:
        throw new ClipflowError(
          'INVALID_DOCUMENT',
          `The uri '${display(uri)}' has the scheme '${scheme}:'; http, https, data and file can be fetched.`,
        );
    }
  };
}

/**
 * RFC 2397. The base64 alphabet is RFC 4648's standard one; white space and missing padding are let pass, as browsers do.
 *
 * @throws ClipflowError INVALID_DOCUMENT or PAYLOAD_TOO_LARGE
 */
function decodeDataUri(uri: string, maxBytes: number): UriContent {
  const comma = uri.indexOf(',');
  if (comma < 0) throw new ClipflowError('INVALID_DOCUMENT', 'The data: uri has no comma before its data.');
  const parameters = uri.slice('data:'.length, comma).split(';');
  const base64 = parameters.length > 1 && parameters.at(-1)?.trim().toLowerCase() === 'base64';
  const data = percentDecode(uri.slice(comma + 1));
  const bytes = base64 ? base64Decode(data) : Buffer.from(data, 'latin1');
  checkSize(bytes.length, maxBytes, 'The data: uri');
  return { bytes, mimeType: parameters[0]?.trim().toLowerCase() || 'text/plain' };
}

/** The bytes as latin1 text. */
function percentDecode(text: string): string {
  const ascii = text.replace(/\P{ASCII}+/gu, encodeURIComponent);
  if (/%(?![0-9a-f]{2})/i.test(ascii)) {
    throw new ClipflowError('INVALID_DOCUMENT', "The data: uri has a '%' that two hexadecimal digits do not follow.");
  }
  return ascii.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

function base64Decode(text: string): Buffer {
  const compact = text.replace(/[\t\n\f\r ]+/g, '');
  const digits = compact.replace(/={1,2}$/, '');
  const padded = digits.length === compact.length || compact.length % 4 === 0;
  if (!padded || digits.length % 4 === 1 || !/^[A-Za-z0-9+/]*$/.test(digits)) {
    throw new ClipflowError('INVALID_DOCUMENT', 'The data: uri is not valid base64 (RFC 4648, standard alphabet).');
  }
  return Buffer.from(digits, 'base64');
}

async function readLocal(uri: string, { allow, maxBytes }: UriLoaderOptions, isUrl: boolean): Promise<UriContent> {
  if (!allow.includes('file')) throw forbidden(`The uri '${display(uri)}' is a local file`, 'file');
  let path = uri;
  try {
    if (isUrl) path = fileURLToPath(uri);
  } catch (error) {
    throw new ClipflowError('INVALID_DOCUMENT', `The uri '${display(uri)}' names no local file.`, { cause: error });
  }
  try {
    // Without O_NONBLOCK, opening a named pipe would hold a thread until somebody writes.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile()) throw new ClipflowError('URI_UNREACHABLE', `The uri '${display(uri)}' is no regular file.`);
    checkSize(stat.size, maxBytes, `The file '${display(uri)}'`);
    return { bytes: await file.readFile() };
  } catch (error) {
    throw unreachable(uri, error);
  }
}

async function fetchHttp(
  uri: string,
  { allow, maxBytes, timeoutMs }: UriLoaderOptions,
  agent: Agent,
  caller?: AbortSignal,
): Promise<UriContent> {
  const timeout = AbortSignal.timeout(timeoutMs);
  const signal = caller ? AbortSignal.any([caller, timeout]) : timeout;
  let url = parseUrl(uri);
  try {
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      checkHost(url, allow);
      const { statusCode, headers, body } = await request(url, {
        dispatcher: agent,
        signal,
        headers: { 'user-agent': 'clipflow', accept: '*/*', 'accept-encoding': 'identity' },
      });
      const location = String(headers.location ?? '');
      if (REDIRECTS.includes(statusCode) && location !== '') {
        await body.dump();
        url = parseUrl(location, url);
        continue;
      }
      if (statusCode < 200 || statusCode > 299) {
        await body.dump();
        throw new ClipflowError('URI_UNREACHABLE', `The uri '${display(uri)}' answered with status ${statusCode}.`);
      }
      const bytes = await readBody(body, Number(headers['content-length'] ?? 0), maxBytes, uri);
      const mimeType = String(headers['content-type'] ?? '')
        .replace(/;.*/s, '')
        .trim()
        .toLowerCase();
      return mimeType ? { bytes, mimeType } : { bytes };
    }
    throw new ClipflowError('URI_UNREACHABLE', `The uri '${display(uri)}' redirects more than ${MAX_REDIRECTS} times.`);
  } catch (error) {
    if (caller?.aborted) {
      throw new ClipflowError('CANCELLED', `Fetching '${display(uri)}' was cancelled.`, { cause: error });
    }
    if (timeout.aborted) {
      throw new ClipflowError('URI_UNREACHABLE', `The uri '${display(uri)}' took longer than ${timeoutMs} ms.`);
    }
    throw unreachable(uri, error);
  }
}

async function readBody(
  body: AsyncIterable<Buffer>,
  announced: number,
  maxBytes: number,
  uri: string,
): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop by an error destroys the body, which closes the connection.
  for await (const chunk of body) {
    length += chunk.length;
    checkSize(Math.max(length, announced), maxBytes, `The content of '${display(uri)}'`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Host names are checked by `guardedLookup`; it is not asked about literal addresses. */
function checkHost({ protocol, hostname, href }: URL, allow: UriPolicy['allow']): void {
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new ClipflowError(
      'URI_FORBIDDEN',
      `A redirect leads to '${display(href)}'; only http and https are followed.`,
    );
  }
  const address = hostname.replace(/^\[|\]$/g, '');
  if (isIP(address) !== 0) checkAddress(address, allow, address);
  else if (!allow.includes('public') && !allow.includes('private')) {
    throw forbidden(`The uri '${display(href)}' is on the network`, 'public');
  }
}

function checkAddress(address: string, allow: UriPolicy['allow'], host: string): void {
  const needed = isPublicAddress(address) ? 'public' : 'private';
  if (!allow.includes(needed)) throw forbidden(`The uri's host '${host}' has the ${needed} address ${address}`, needed);
}

const GLOBAL_IPV6: [ipaddr.IPv6, number] = [ipaddr.IPv6.parse('2000::'), 3];

/**
 * Whether an address is globally reachable unicast. Everything with a special purpose is not: loopback, private,
 * link-local, shared (CGNAT), multicast, reserved, and IPv6 forms that carry an IPv4 address through a translator
 * (6to4, Teredo, NAT64). IPv4-mapped addresses count as the IPv4 address.
 */
export function isPublicAddress(address: string): boolean {
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  // IANA gives out unicast from 2000::/3 only; the rest holds forms such as ::127.0.0.1.
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_IPV6);
}

/** The lookup of new connections: one address that is not allowed refuses the host. */
function guardedLookup(allow: UriPolicy['allow']): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error || !first) return callback(error ?? new Error(`${hostname} has no address`), []);
      try {
        for (const { address } of addresses) checkAddress(address, allow, hostname);
      } catch (refusal) {
        return callback(refusal as ClipflowError, []);
      }
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function parseUrl(uri: string, base?: URL): URL {
  if (URL.canParse(uri, base?.href)) return new URL(uri, base);
  throw base
    ? new ClipflowError('URI_UNREACHABLE', `A redirect leads to '${display(uri)}', which is no URL.`)
    : new ClipflowError('INVALID_DOCUMENT', `The uri '${display(uri)}' is no valid URL.`);
}

function checkSize(bytes: number, maxBytes: number, what: string): void {
  if (bytes > maxBytes) {
    throw new ClipflowError('PAYLOAD_TOO_LARGE', `${what} has at least ${bytes} bytes; the limit is ${maxBytes}.`);
  }
}

function forbidden(what: string, needed: string): ClipflowError {
  return new ClipflowError(
    'URI_FORBIDDEN',
    `${what}, which is not allowed; add '${needed}' to with.uri.allow in the flow or to CLIPFLOW_URI_ALLOW.`,
  );
}

function unreachable(uri: string, error: unknown): ClipflowError {
  if (error instanceof ClipflowError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const reason = code !== undefined && !message.includes(code) ? `${code} ${message}` : message;
  return new ClipflowError('URI_UNREACHABLE', `The uri '${display(uri)}' could not be fetched: ${reason}`, {
    cause: error,
  });
}

/** For messages: no credentials, no query (signed URLs carry secrets there), not too long. */
function display(uri: string): string {
  const bare = uri.replace(/[?#].*/s, '').replace(/\/\/[^/]*@/, '//');
  return bare.length > 200 ? `${bare.slice(0, 200)}...` : bare;
}
