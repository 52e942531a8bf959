/** `node:diagnostics_channel` where nobody listens: unenv's throws where ioredis and redis ask whether somebody does. */
type Call = (...parts: unknown[]) => unknown;

const nobody = { hasSubscribers: false, publish() {}, subscribe() {}, unsubscribe: () => false };
const call = (act: Call, _context?: unknown, self?: unknown, ...parts: unknown[]) => act.apply(self, parts);
const tracing = { ...nobody, traceSync: call, tracePromise: call };

export const channel = (): typeof nobody => nobody;
export const tracingChannel = (): typeof tracing => tracing;
export const hasSubscribers = (): boolean => false;
export default { channel, tracingChannel, hasSubscribers };
