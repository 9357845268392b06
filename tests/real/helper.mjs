// What both clients of the token helper do: list, call a tool, call one that takes a scope more, hear of progress, take a call back, and end.
import { check } from './caller.mjs';

// `call` makes a call with options, which the SDKs take at different places.
export async function bridged(client, StdioClientTransport, call) {
  const { HELPER, HELPER_ARGUMENTS, SLOW_TOOL, SLOW_ARGUMENTS, WIDE_TOOL, WIDE_ARGUMENTS } = process.env;
  const transport = new StdioClientTransport({ command: HELPER, args: JSON.parse(HELPER_ARGUMENTS), stderr: 'pipe' });
  const said = [];
  transport.stderr.on('data', (text) => said.push(String(text)));
  await client.connect(transport);
  const { pid } = transport;
  const { tools } = await client.listTools();
  check(tools.some((tool) => tool.name === 'echo'), `no tool echo among ${tools.length}`);
  const messages = Array.from({ length: 20 }, (_, at) => `hello ${at} gäte\nline`);
  const echoes = await Promise.all(messages.map((message) => client.callTool({ name: 'echo', arguments: { message } })));
  check(echoes.every((echo, at) => echo.content[0].text.includes(messages[at])), JSON.stringify(echoes));
  const wide = await client.callTool({ name: WIDE_TOOL, arguments: JSON.parse(WIDE_ARGUMENTS) });
  check(!wide.isError, JSON.stringify(wide));
  const progress = [];
  const slow = { name: SLOW_TOOL, arguments: JSON.parse(SLOW_ARGUMENTS) };
  await call(slow, { onprogress: (told) => progress.push(told) });
  check(progress.length > 0, 'no progress came');
  const taken = new AbortController();
  const outcome = call(slow, { signal: taken.signal, onprogress: () => taken.abort() }).then(() => 'answered', () => 'taken back');
  check(await outcome === 'taken back', 'the call that was taken back was answered');
  const after = await client.callTool({ name: 'echo', arguments: { message: 'still here' } });
  check(after.content[0].text.includes('still here'), JSON.stringify(after));
  await client.close();
  const isGone = await ended(pid);
  check(isGone, 'the helper goes on after its client has gone');
  check(said.join('') === '', `the helper said: ${said.join('')}`);
  console.log(JSON.stringify({ tools: tools.length, echoes: echoes.length, wide: wide.content[0].text, progress: progress.length }));
}

async function ended(pid) {
  for (let tries = 0; tries < 200; tries++) {
    try {
      process.kill(pid, 0);
    } catch {
      return true;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}
