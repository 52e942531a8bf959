/** The part of Node.js that is used, so that its types (and globals) stay out of code for browsers. */
declare module "node:net" {
  export function connect(to: { host: string; port: number; allowHalfOpen: true; noDelay: true }): object;
}
