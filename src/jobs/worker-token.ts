/** The environment variable with the token that the gateway and the workers of a flow share, where it asks for tokens. */
export const WORKER_TOKEN = 'CLIPFLOW_WORKER_TOKEN';
