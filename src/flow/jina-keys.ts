/**
 * Keys of Jina 3.15's flows (its `jina flow|gateway|executor --help`) that mean nothing here. They are accepted, so that
 * its files work unchanged, and listed in `flow.ignored`, so that a start can name them.
 */
const IGNORED_ANYWHERE = [
  'compression',
  'connection_list',
  'deployment_role',
  'disable_auto_volume',
  'docker_kwargs',
  'entrypoint',
  'env_from_secret',
  'exit_on_exceptions',
  'extra_search_paths',
  'force_network_mode',
  'force_update',
  'gpus',
  'graph_conditions',
  'graph_description',
  'grpc_channel_options',
  'host_in',
  'install_requirements',
  'k8s_namespace',
  'log_config',
  'metrics',
  'metrics_exporter_host',
  'metrics_exporter_port',
  'native',
  'noblock_on_start',
  'pod_role',
  'prefer_platform',
  'py_modules',
  'quiet',
  'quiet_error',
  'reload',
  'restart',
  'runtime_cls',
  'shard_id',
  'suppress_root_logging',
  'timeout_ctrl',
  'traces_exporter_host',
  'traces_exporter_port',
  'tracing',
  'upload_files',
  'volumes',
  'workspace_id',
] as const;

export const IGNORED_IN_GATEWAY = [
  ...IGNORED_ANYWHERE,
  'asyncio',
  'expose_graphql_endpoint',
  'inspect',
  'no_crud_endpoints',
  'no_debug_endpoints',
  'proxy',
  'replicas',
  'uses',
  'uses_with',
] as const;

export const IGNORED_IN_EXECUTOR = [
  ...IGNORED_ANYWHERE,
  'allow_concurrent',
  'description',
  'host',
  'output_array_type',
  'port',
  'uses_dynamic_batching',
] as const;

export const IGNORED_IN_USES = ['description', 'dynamic_batching', 'name', 'workspace'] as const;

/** Keys of Jina that would change what the flow answers: leaving them out silently would be wrong. */
export const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ['deployments', 'name the list `executors`'],
  ['pods', 'name the list `executors`'],
  ['with', 'settings of an executor are `uses_with`'],
  ['external', 'an executor elsewhere joins over NATS: set `transport: nats://...` and start it there'],
  ['tls', 'it belongs to external executors, which are not supported'],
  ['grpc_metadata', 'it belongs to external executors, which are not supported'],
  ['floating', 'each leaf of the graph joins into the answer'],
  ['method', 'write a join as an executor with several `needs`'],
  ['uses_before', 'add an executor of its own before this one'],
  ['uses_after', 'add an executor of its own after this one'],
  ['no_reduce', 'joined branches are always merged by document id'],
  ['disable_reduce', 'joined branches are always merged by document id'],
  ['port_expose', 'name it `port`'],
  ['ports', 'name it `port`; it takes a list too'],
  ['protocols', 'name it `protocol`; it takes a list too'],
]);
