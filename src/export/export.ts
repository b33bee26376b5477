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
