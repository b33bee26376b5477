import { NatsServer } from '../support/nats-server.js';
import { transportContract } from './transport-contract.js';

transportContract(
  'nats',
  async () => {
    const server = await NatsServer.start();
    return { server, address: server.address, stop: () => server.stop() };
  },
  {
    severalGateways: true,
    restart: async ({ server }) => {
      await server.stop();
      await server.start();
    },
  },
);
