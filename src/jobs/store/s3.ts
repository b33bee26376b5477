import { PassThrough, Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { ClipflowError } from '../../errors.js';
import {
  checkKey,
  checkPath,
  checkPrefix,
  MeasuredContent,
  noSuchFile,
  type ByteRange,
  type FileStore,
  type StoredFile,
  type WriteOptions,
} from './file-store.js';
import { httpStatus, s3Error, type S3Place } from './s3-errors.js';

/** S3 takes 10,000 parts, so a file may have 156 GiB. Four are under way at a time, each in memory. */
const PART_BYTES = 16 * 2 ** 20;
const CONNECT_MS = 5_000;
/** Of no byte at all. A part of an output is opened long before its turn to be read comes. */
const SILENCE_MS = 120_000;
/** Downloads hold one each for as long as their callers take. */
const CONNECTIONS = 256;

/** A bucket of S3, or of a server that speaks its protocol. */
export class S3FileStore implements FileStore {
  private constructor(
    private readonly client: S3Client,
    private readonly place: S3Place,
    /** Empty, or with a slash at its end. */
    private readonly root: string,
  ) {}

  /**
   * A server that cannot be reached yet is no error.
   * @param location `s3://bucket/prefix`
   * @throws INVALID_CONFIG when there is no such bucket, or the credentials do not open it
   */
  static async open(location: string): Promise<S3FileStore> {
    const [, bucket, path = ''] = /^s3:\/\/([\w.-]+)(?:\/(.*?))?\/?$/.exec(location) ?? [];
    if (bucket === undefined || /(^|\/)\.{0,2}(\/|$)/.test(path || '-')) {
      throw new ClipflowError('INVALID_CONFIG', `"${location}": expected s3://bucket/prefix`);
    }
    const endpoint = process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL || undefined;
    const place = { location: `s3://${bucket}${path && `/${path}`}`, bucket, endpoint };
    const store = new S3FileStore(new S3Client(clientConfig(endpoint)), place, path && `${path}/`);
    try {
      await store.#sent(
        store.client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: store.root, MaxKeys: 1 })),
      );
    } catch (error) {
      if (!(error instanceof ClipflowError && error.retryable)) throw error;
    }
    return store;
  }

  get location(): string {
    return this.place.location;
  }

  async write(
    key: string,
    content: AsyncIterable<Uint8Array>,
    { maxBytes = Infinity }: WriteOptions = {},
  ): Promise<number> {
    const measured = new MeasuredContent(checkKey(key), content, maxBytes);
    const body = Readable.from(measured);
    const params = { ...this.#object(key), Body: body };
    try {
      await new Upload({ client: this.client, params, partSize: PART_BYTES }).done();
    } catch (error) {
      // What the content threw is the caller's own.
      throw body.errored ?? s3Error(error, this.place);
    } finally {
      body.destroy();
    }
    return measured.bytes;
  }

  async read(key: string, { start = 0, end }: ByteRange = {}): Promise<Readable> {
    const object = this.#object(checkPath(key));
    if (end !== undefined && end <= start) {
      // HTTP has no word for an empty range.
      if ((await this.size(key)) === undefined) throw noSuchFile(key);
      return Readable.from([]);
    }
    const range = start > 0 || end !== undefined ? { Range: `bytes=${start}-${end === undefined ? '' : end - 1}` } : {};
    try {
      const { Body: body } = await this.client.send(new GetObjectCommand({ ...object, ...range }));
      if (body instanceof Readable) return this.#withTypedErrors(body);
      throw new ClipflowError('INTERNAL', `${this.location}: the SDK gave no stream of ${key}`);
    } catch (error) {
      if ((error as Error).name === 'NoSuchKey') throw noSuchFile(key, error);
      if ((error as Error).name === 'InvalidRange') return Readable.from([]); // It starts behind the end.
      throw s3Error(error, this.place);
    }
  }

  async size(key: string): Promise<number | undefined> {
    try {
      const found = await this.client.send(new HeadObjectCommand(this.#object(checkPath(key))));
      return found.ContentLength;
    } catch (error) {
      if (httpStatus(error) === 404) return undefined;
      throw s3Error(error, this.place);
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredFile> {
    for await (const objects of this.#pages(`${this.root}${checkPrefix(prefix)}`)) {
      for (const { name, bytes } of objects) {
        // Consoles make such empty objects to show a folder.
        if (!name.endsWith('/')) yield { key: name.slice(this.root.length), bytes };
      }
    }
  }

  async remove(key: string): Promise<void> {
    const object = this.#object(checkPath(key));
    await this.#sent(this.client.send(new DeleteObjectCommand(object)));
    for await (const objects of this.#pages(`${object.Key}/`)) {
      const Delete = { Objects: objects.map(({ name }) => ({ Key: name })), Quiet: true };
      const command = new DeleteObjectsCommand({ Bucket: object.Bucket, Delete });
      const { Errors: [failed] = [] } = await this.#sent(this.client.send(command));
      if (failed) {
        throw new ClipflowError(
          'UNAVAILABLE',
          `${this.location}: ${failed.Key} could not be removed (${failed.Code}: ${failed.Message})`,
        );
      }
    }
  }

  #object(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.place.bucket, Key: this.root + key };
  }

  /** Objects whose names start with `prefix`, a thousand at a time; S3 has them in the order of their bytes. */
  async *#pages(prefix: string): AsyncGenerator<{ name: string; bytes: number }[]> {
    const pages = paginateListObjectsV2({ client: this.client }, { Bucket: this.place.bucket, Prefix: prefix });
    for (;;) {
      const page = await this.#sent(pages.next());
      if (page.done) return;
      const { Contents: found = [] } = page.value;
      if (found.length > 0) yield found.map(({ Key: name = '', Size: bytes = 0 }) => ({ name, bytes }));
    }
  }

  #sent<T>(answer: Promise<T>): Promise<T> {
    return answer.catch((error: unknown) => {
      throw s3Error(error, this.place);
    });
  }

  /** The connection may break in mid-file: also before anybody reads, who hears of it then. */
  #withTypedErrors(body: Readable): Readable {
    const typed = new PassThrough().on('error', () => {});
    body.once('error', (error) => typed.destroy(s3Error(error, this.place)));
    typed.once('close', () => body.destroy());
    return body.pipe(typed);
  }
}

/** Credentials, region and endpoint are what the SDK finds in the environment. */
function clientConfig(endpoint: string | undefined): S3ClientConfig {
  // The SDK warns of Node 20 on stderr; the version we hold it at supports it.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const agent = { maxSockets: CONNECTIONS };
  return {
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      socketTimeout: SILENCE_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
    // Other servers have no host for each bucket, and some do not know the checksums that AWS's has had since 2025.
    ...(endpoint !== undefined && {
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    }),
  };
}
