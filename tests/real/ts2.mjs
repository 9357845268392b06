// The TypeScript SDK 2.x as a client, in the era that MODE names: lists tools, calls one, prints JSON.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { check, gateway, token } from './caller.mjs';

const mode = process.env.MODE ?? 'legacy';
const versionNegotiation = { mode: mode === 'modern' ? { pin: '2026-07-28' } : mode };
const client = new Client({ name: 'ts2', version: '1.0.0' }, { versionNegotiation });
const headers = { Authorization: `Bearer ${await token()}` };
await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { requestInit: { headers } }));
const { tools } = await client.listTools();
check(tools.some((tool) => tool.name === 'echo'), `no tool echo among ${tools.length}`);
const result = await client.callTool({ name: 'echo', arguments: { message: 'hello gate' } });
check(result.content[0].text.includes('hello gate'), JSON.stringify(result));
console.log(JSON.stringify({ mode, tools: tools.length, echo: result.content[0].text }));
await client.close();
