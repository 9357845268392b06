// The TypeScript SDK 2.x with its providers of client credentials, in the era that MODE names; as credentials1.mjs.
import { Client, ClientCredentialsProvider, PrivateKeyJwtProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { check, credentials, gateway, stepsUp } from './caller.mjs';

const mode = process.env.MODE ?? 'legacy';
const versionNegotiation = { mode: mode === 'modern' ? { pin: '2026-07-28' } : mode };
for (const authProvider of await credentials({ ClientCredentialsProvider, PrivateKeyJwtProvider })) {
  const client = new Client({ name: 'credentials2', version: '1.0.0' }, { versionNegotiation });
  await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { authProvider }));
  const { tools } = await client.listTools();
  check(tools.some((tool) => tool.name === 'echo'), `no tool echo among ${tools.length}`);
  await stepsUp(client, authProvider);
  await client.close();
}
