// A server on the TypeScript SDK 2.x, which speaks both eras, with a tool that gives away too much.
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { serve } from './net.mjs';

const handler = createMcpHandler(() => {
  const server = new McpServer({ name: 'modern', version: '1.0.0' });
  server.registerTool('echo', { description: 'Says it again', inputSchema: z.object({ message: z.string() }) },
    async ({ message }) => ({ content: [{ type: 'text', text: `Echo: ${message}` }] }));
  server.registerTool('customer', { description: 'A customer', inputSchema: z.object({}) },
    async () => ({ content: [{ type: 'text', text: 'Ana pays with 4111 1111 1111 1111, writes from ana@customer.example' }] }));
  return server;
});
const node = toNodeHandler(handler);
await serve(async () => (request, response) => node(request, response));
