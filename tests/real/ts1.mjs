// The TypeScript SDK 1.x as a client: lists tools, calls one, prints JSON.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { check, gateway, token } from './caller.mjs';

const client = new Client({ name: 'ts1', version: '1.0.0' });
const headers = { Authorization: `Bearer ${await token()}` };
const transport = new StreamableHTTPClientTransport(new URL(gateway), { requestInit: { headers } });
await client.connect(transport);
const { tools } = await client.listTools();
check(tools.some((tool) => tool.name === 'echo'), `no tool echo among ${tools.length}`);
const result = await client.callTool({ name: 'echo', arguments: { message: 'hello gate' } });
check(result.content[0].text.includes('hello gate'), JSON.stringify(result));
console.log(JSON.stringify({ tools: tools.length, echo: result.content[0].text }));
await transport.terminateSession();
await client.close();
