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
