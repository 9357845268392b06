// Prints a token that the provider grants by client credentials.
import { token } from './net.mjs';
console.log(await token());
