// What the servers share: every one listens on loopback, on a port that is free, and says where in its first line.
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

// Whether a request brings the server's own credential, where it has one; otherwise it is answered 401.
export function admits(request, response) {
  const credential = process.env.UPSTREAM_CREDENTIAL;
  if (!credential || request.headers.authorization === `Bearer ${credential}`) return true;
  response.writeHead(401).end('this server wants its own credential');
  return false;
}
