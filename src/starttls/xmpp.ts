import type { Tag } from "./clear.js";

/** RFC 6120 §5.4.2.1 */
export const XMPP_TLS = "urn:ietf:params:xml:ns:xmpp-tls";

/** The tag that opens a stream, with these attributes (RFC 6120 §4.2). */
export function streamHeader(attributes: string): string {
  return `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' ${attributes} version='1.0'>`;
}

/** Whether it begins this element of the STARTTLS negotiation. */
export function isXmppTls({ name, kind, text }: Tag, element: string): boolean {
  return name === element && kind !== "close" && text.includes(XMPP_TLS);
}
