export { Document } from '../src/document/document.js';
export { NdArray } from '../src/document/ndarray.js';
export { ClipflowError, type ErrorCode, type ErrorData } from '../src/errors.js';
export type { ModelInfo } from '../src/model-info.js';
export { Executor, type CallContext, type ExecutorContext, type RequestMethod } from './executor.js';
