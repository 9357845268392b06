// The TypeScript SDK 2.x on standard input and output, in the era that MODE names; as helper1.mjs.
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { bridged } from './helper.mjs';

const mode = process.env.MODE ?? 'legacy';
const versionNegotiation = { mode: mode === 'modern' ? { pin: '2026-07-28' } : mode };
const client = new Client({ name: 'helper2', version: '1.0.0' }, { versionNegotiation });
await bridged(client, StdioClientTransport, (params, options) => client.callTool(params, options));
