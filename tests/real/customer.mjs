// What the gate is for, seen with the TypeScript SDK 2.x in the modern era: a customer masked over JSON and over server-sent
// events, and the upstream's credential (UPSTREAM_CREDENTIAL), which only the server sees.
import { createHash } from 'node:crypto';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { check, gateway, masks, recorder, token } from './caller.mjs';

const client = new Client({ name: 'customer', version: '1.0.0' }, { versionNegotiation: { mode: { pin: '2026-07-28' } } });
const headers = { Authorization: `Bearer ${await token()}` };
const { record, read } = recorder();
await client.connect(new StreamableHTTPClientTransport(new URL(gateway), { fetch: record, requestInit: { headers } }));

async function masked(name, type, options) {
  const result = await client.callTool({ name, arguments: {} }, options);
  const answer = (await read()).at(-1);
  check(answer.type === type, `${name} came as ${answer.type}`);
  check(Object.values(result.structuredContent).join() === masks.join(), JSON.stringify(result));
  check(masks.every((mask) => result.content[0].text.includes(mask)), JSON.stringify(result));
  console.log(JSON.stringify({ [name]: result.content[0].text, in: type, bytes: answer.body.length }));
}

await masked('customer', 'application/json');
const words = [];
await masked('customer_slow', 'text/event-stream', { onprogress: ({ message }) => words.push(message) });
check(words.join() === `looking for ${masks[1]}`, `the progress is ${JSON.stringify(words)}`);

const who = await client.callTool({ name: 'whoami', arguments: {} });
const digest = createHash('sha256').update(`salt:${process.env.UPSTREAM_CREDENTIAL}`).digest('hex').slice(0, 16);
check(who.structuredContent.digest === digest, 'the server saw another credential');
check(who.structuredContent.callers === 0, "the client's own token went upstream");
check(!(await read()).at(-1).body.includes(process.env.UPSTREAM_CREDENTIAL), 'the credential arrived');
console.log(JSON.stringify({ whoami: who.content[0].text, digest, 'is the credential': true }));
await client.close();
