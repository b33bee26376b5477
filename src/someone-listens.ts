import { once } from 'node:events';
import { createConnection, type NetConnectOpts } from 'node:net';

/** Whether a server takes connections at an address of this machine. */
export async function someoneListens(at: NetConnectOpts): Promise<boolean> {
  const socket = createConnection(at);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
