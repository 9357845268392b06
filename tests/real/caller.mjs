// What the clients share. The environment tells them where to go: GATEWAY_URL, and a token in TOKEN or a provider at ISSUER_URL.
export const gateway = process.env.GATEWAY_URL;

// What must not arrive.
export const leaks = ['4111 1111 1111 1111', 'ana@customer.example', 'ghp_HSdQegNaEK5m0OQzC3YhL9csO8hDeSDNvayM'];
export const masks = ['[CREDIT_CARD]', '[EMAIL_ADDRESS]', '[SECRET/GITHUB-TOKEN]'];

// A token of the kind asked for, made for the gateway's endpoint by the provider that runs.
export async function token(kind = 'good') {
  if (kind === 'good' && process.env.TOKEN) return process.env.TOKEN;
  const query = new URLSearchParams({ kind, resource: gateway });
  const response = await fetch(`${process.env.ISSUER_URL}/_test/mint?${query}`);
  if (!response.ok) throw new Error(`the provider answered ${response.status}`);
  return response.text();
}

export function check(holds, wrong) {
  if (!holds) {
    console.error(wrong);
    process.exit(1);
  }
}

// A `fetch` for an SDK's transport that keeps the raw bytes and the type of each answer.
export function recorder() {
  const answers = [];
  const record = async (url, init) => {
    const response = await fetch(url, init);
    if (!response.body || init?.method === 'GET') return response;
    const [kept, passed] = response.body.tee();
    answers.push({ type: response.headers.get('content-type') ?? '', body: new Response(kept).text() });
    return new Response(passed, response);
  };
  // All answers so far; a leak in one of them ends the script.
  const read = async () => {
    const whole = await Promise.all(answers.map(async ({ type, body }) => ({ type: type.split(';')[0], body: await body })));
    for (const { body } of whole) {
      const plain = leaks.find((leak) => body.includes(leak) || body.includes(leak.replaceAll(' ', '')));
      check(!plain, `${plain} arrived: ${body}`);
    }
    return whole;
  };
  return { record, read };
}

// An SDK's own providers of client credentials, for the machine with a secret and the one with a key. `scope` is what they ask for where the SDK does
// not take it from the challenge.
export async function credentials({ ClientCredentialsProvider, PrivateKeyJwtProvider }, scope) {
  const expectedIssuer = process.env.ISSUER_URL;
  const privateKey = await (await fetch(`${expectedIssuer}/_test/machine`)).text();
  return [
    new ClientCredentialsProvider({ clientId: 'agent-a', clientSecret: 's3cret-a', expectedIssuer, scope }),
    new PrivateKeyJwtProvider({ clientId: 'agent-k', privateKey, algorithm: 'ES256', expectedIssuer, scope }),
  ];
}

// A call of echo, and one of the tool that takes a scope more, which the SDK gets by itself.
export async function stepsUp(client, provider) {
  const scopes = async () => `${(await provider.tokens()).scope}`;
  const hello = await client.callTool({ name: 'echo', arguments: { message: 'hello gate' } });
  check(hello.content[0].text.includes('hello gate'), JSON.stringify(hello));
  check(await scopes() === 'mcp:read', `the first token has the scopes ${await scopes()}`);
  const wide = await client.callTool({ name: process.env.WIDE_TOOL, arguments: JSON.parse(process.env.WIDE_ARGUMENTS) });
  check(!wide.isError, JSON.stringify(wide));
  const granted = await scopes();
  check(['mcp:read', 'mcp:write'].every((scope) => granted.split(' ').includes(scope)), granted);
  console.log(JSON.stringify({ echo: hello.content[0].text, [process.env.WIDE_TOOL]: wide.content[0].text, scopes: granted }));
}
