import { parse } from 'yaml';

/** A file that an export makes. */
export interface ExportedFile {
  path: string;
  text: string;
}

export interface FlowSource {
  /** The flow file as it is. */
  text: string;
  /** Container image of clipflow. */
  image: string;
}

/** Where containers keep the files of jobs, on a volume that gateway and workers share. */
export const JOBS_FOLDER = '/jobs';

/** Whether the flow asks for bulk jobs: it has `jobs`, even if they are all defaults. Redis may be there for the cache alone. */
export function wantsJobs({ text }: FlowSource): boolean {
  const file = (parse(text) ?? {}) as { with?: object | null; gateway?: object | null };
  return Object.hasOwn({ ...file.gateway, ...file.with }, 'jobs');
}
