// Ports and readiness: every part listens on loopback, on a port that is free, and says where in its first line.
import { createServer } from 'node:http';

export function serve(makeHandler) {
  return new Promise((resolve) => {
    let handler = (_request, response) => response.writeHead(503).end();
    const server = createServer((request, response) => handler(request, response));
    server.listen(0, '127.0.0.1', async () => {
      const url = `http://127.0.0.1:${server.address().port}`;
      handler = await makeHandler(url);
      console.log(`ready ${url}`);
      resolve(server);
    });
  });
}

export const gateway = process.env.GATEWAY_URL;

// A token of the kind asked for, from the provider that runs.
export async function token(kind = 'good') {
  const response = await fetch(`${process.env.ISSUER_URL}/_test/mint?kind=${kind}`);
  if (!response.ok) throw new Error(`the provider answered ${response.status}`);
  return response.text();
}

export function check(holds, wrong) {
  if (!holds) {
    console.error(wrong);
    process.exit(1);
  }
}
