import { ClipflowError } from '../../errors.js';

export interface S3Place {
  /** `s3://bucket/prefix` */
  location: string;
  bucket: string;
  /** Undefined: AWS itself. */
  endpoint: string | undefined;
}

/** What the SDK throws, as far as we look at it: an answer of the server has a status, everything else has none. */
interface SdkError extends Error {
  $metadata?: { httpStatusCode?: number };
}

export function httpStatus(thrown: unknown): number | undefined {
  return (thrown as SdkError).$metadata?.httpStatusCode;
}

/**
 * An error of the SDK, with where it was and what mends it: UNAVAILABLE when trying again may help, INVALID_CONFIG when
 * somebody must change a setting.
 */
export function s3Error(thrown: unknown, { location, bucket, endpoint }: S3Place): ClipflowError {
  if (thrown instanceof ClipflowError) return thrown;
  const { name, message } = thrown as SdkError;
  const status = httpStatus(thrown);
  const server = endpoint ?? 'S3';
  const error = (code: 'UNAVAILABLE' | 'INVALID_CONFIG', text: string): ClipflowError =>
    new ClipflowError(code, `${location}: ${text}`, { cause: thrown });

  if (name === 'CredentialsProviderError') {
    return error(
      'INVALID_CONFIG',
      'there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role',
    );
  }
  if (message === 'Region is missing') return error('INVALID_CONFIG', 'there is no region: set AWS_REGION');
  if (name === 'NoSuchBucket') {
    return error('INVALID_CONFIG', `${server} has no bucket "${bucket}": create it, or correct the address`);
  }
  if (status === undefined) {
    const mend = endpoint === undefined ? 'is there a way out?' : 'is it up, and is AWS_ENDPOINT_URL_S3 right?';
    return error('UNAVAILABLE', `${server} cannot be reached (${reason(thrown as SdkError)}): ${mend}`);
  }
  if (status === 429 || status >= 500) return error('UNAVAILABLE', `${server} fails (${name}: ${message})`);
  if (status === 403) {
    return error(
      'INVALID_CONFIG',
      `${server} does not allow it (${name}: ${message}): which credentials are these, and what may they do with the bucket?`,
    );
  }
  return error('INVALID_CONFIG', `${server} refuses it (${status} ${name}: ${message})`);
}

/** Errors of several connection attempts at once have no message of their own. */
function reason({ message, ...error }: SdkError & { code?: string }): string {
  return message || (error.code ?? 'no reason given');
}
