// Prints a token that the provider grants by client credentials.
import { token } from './caller.mjs';
console.log(await token());
