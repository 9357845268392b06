// A server on the TypeScript SDK 2.x, which speaks both eras, with tools that give away too much.
import { createHash } from 'node:crypto';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { z } from 'zod';
import { leaks } from './caller.mjs';
import { admits, serve } from './net.mjs';

const said = (text) => ({ content: [{ type: 'text', text }] });
const customer = () => {
  const [card, mail, deploy] = leaks;
  return { ...said(`Ana pays with ${card}, writes from ${mail}, deploys with ${deploy}`), structuredContent: { card, mail, deploy } };
};
const pause = () => new Promise((resolve) => setTimeout(resolve, 200));

const handler = createMcpHandler(() => {
  const server = new McpServer({ name: 'modern', version: '1.0.0' });
  const tool = (name, description, shape, run) =>
    server.registerTool(name, { description, inputSchema: z.object(shape) }, run);
  tool('echo', 'Says it again', { message: z.string() }, async ({ message }) => said(`Echo: ${message}`));
  tool('customer', 'A customer', {}, async () => customer());
  // A word before the result makes the SDK answer in server-sent events.
  tool('customer_slow', 'A customer, after a while', {}, async (_arguments, context) => {
    const progressToken = context.mcpReq._meta?.progressToken;
    if (progressToken !== undefined) {
      const params = { progressToken, progress: 1, total: 2, message: `looking for ${leaks[1]}` };
      await context.mcpReq.notify({ method: 'notifications/progress', params });
    }
    await pause();
    return customer();
  });
  // The credential itself, and a digest that lets a caller who knows it see that it was the right one.
  tool('whoami', 'What the server was told about its caller', {}, async (_arguments, context) => {
    const headers = [...context.http.req.headers.values()];
    const secret = (context.http.req.headers.get('authorization') ?? '').replace('Bearer ', '');
    const digest = createHash('sha256').update(`salt:${secret}`).digest('hex').slice(0, 16);
    const callers = headers.filter((value) => value.includes('eyJ')).length;
    return { ...said(`you came with ${secret}`), structuredContent: { digest, callers } };
  });
  return server;
});
const node = toNodeHandler(handler);
await serve(async () => (request, response) => admits(request, response) && node(request, response));
