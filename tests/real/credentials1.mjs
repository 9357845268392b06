// The TypeScript SDK 1.x with its providers of client credentials: from the gateway's URL alone it finds the provider, gets a token, lists and
// calls. Its providers ask for the scope that they were made with whatever the challenge says, so a tool that takes more is a refusal that it
// understands, and a provider made with more may call it.
import { ClientCredentialsProvider, PrivateKeyJwtProvider } from '@modelcontextprotocol/sdk/client/auth-extensions.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { check, credentials, gateway } from './caller.mjs';

const wide = { name: process.env.WIDE_TOOL, arguments: JSON.parse(process.env.WIDE_ARGUMENTS) };
for (const scope of ['mcp:read', 'mcp:read mcp:write']) {
  for (const authProvider of await credentials({ ClientCredentialsProvider, PrivateKeyJwtProvider }, scope)) {
    const client = new Client({ name: 'credentials1', version: '1.0.0' });
    await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { authProvider }));
    const { tools } = await client.listTools();
    check(tools.some((tool) => tool.name === 'echo'), `no tool echo among ${tools.length}`);
    const hello = await client.callTool({ name: 'echo', arguments: { message: 'hello gate' } });
    check(hello.content[0].text.includes('hello gate'), JSON.stringify(hello));
    const outcome = await client.callTool(wide).then(({ isError }) => `answered ${isError ?? false}`, ({ code }) => `refused ${code}`);
    check(outcome === (scope === 'mcp:read' ? 'refused 403' : 'answered false'), `${scope}: ${outcome}`);
    console.log(JSON.stringify({ scope, tools: tools.length, echo: hello.content[0].text, wide: outcome }));
    await client.close();
  }
}
