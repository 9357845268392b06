// What the gate is for, seen with the TypeScript SDK: a blocked argument, and a result that arrives masked.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { check, gateway, token } from './net.mjs';

const client = new Client({ name: 'leaks', version: '1.0.0' });
const headers = { Authorization: `Bearer ${await token()}` };
await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { requestInit: { headers } }));
const call = (message) => client.callTool({ name: 'echo', arguments: { message } });
const blocked = await call('drop   table customers');
check(blocked.isError && blocked.content[0].text.includes('no-drop'), JSON.stringify(blocked));
const masked = await call('card 4111 1111 1111 1111, mail ana@customer.example, key ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM');
const text = masked.content[0].text;
check(!/4111|ana@|ghp_/.test(text) && text.includes('[CREDIT_CARD]'), JSON.stringify(masked));
console.log(`blocked: ${blocked.content[0].text}\nmasked:  ${text}`);
await client.close();
