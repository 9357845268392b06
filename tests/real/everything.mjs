// npm's server-everything over streamable HTTP. It would listen on every address; here it listens on loopback.
import net from 'node:net';

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (_port, ...rest) {
  this.once('listening', () => console.log(`ready http://127.0.0.1:${this.address().port}/mcp`));
  return listen.call(this, 0, '127.0.0.1', ...rest.filter((one) => typeof one === 'function'));
};
// What it says otherwise is not for the one who waits for its first line.
console.info = console.debug = console.error;
process.argv[2] = 'streamableHttp';
await import('./node_modules/@modelcontextprotocol/server-everything/dist/index.js');
