// The TypeScript SDK 1.x on standard input and output, with `sluicegate token-helper` (HELPER, and its arguments in HELPER_ARGUMENTS) as its server.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { bridged } from './helper.mjs';

const client = new Client({ name: 'helper1', version: '1.0.0' });
await bridged(client, StdioClientTransport, (params, options) => client.callTool(params, undefined, options));
