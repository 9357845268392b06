// What the gate is for, seen with the TypeScript SDK 1.x: a blocked tool, a blocked argument, a result that arrives masked.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { check, gateway, leaks, masks, recorder, token } from './caller.mjs';

const client = new Client({ name: 'leaks', version: '1.0.0' });
const headers = { Authorization: `Bearer ${await token()}` };
const { record, read } = recorder();
await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { fetch: record, requestInit: { headers } }));
const call = (name, parameters) => client.callTool({ name, arguments: parameters });
const wiped = await call('admin_wipe', { really: 'yes' });
check(wiped.isError && wiped.content[0].text.includes('no-admin'), JSON.stringify(wiped));
const dropped = await call('echo', { message: 'drop   table customers' });
check(dropped.isError && dropped.content[0].text.includes('no-drop'), JSON.stringify(dropped));
const echoed = await call('echo', { message: leaks.join(', ') });
check(echoed.content[0].text === `Echo: ${masks.join(', ')}`, JSON.stringify(echoed));
const answers = await read();
console.log(JSON.stringify({ admin_wipe: wiped.content[0].text }));
console.log(JSON.stringify({ echo: dropped.content[0].text }));
console.log(JSON.stringify({ echo: echoed.content[0].text, in: answers.at(-1).type }));
await client.close();
