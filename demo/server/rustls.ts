/**
 * Runs in Deno, as a program of its own: an HTTPS server whose TLS is rustls.
 * Arguments: the certificate chain's file, the key's file.
 */

/** The part of Deno's API that is used here; the other programs of this folder run in Node. */
declare const Deno: {
  readonly args: readonly string[];
  readonly version: { readonly deno: string };
  readTextFileSync(path: string): string;
  serve(
    options: {
      hostname: string;
      port: number;
      cert: string;
      key: string;
      onListen: (address: { port: number }) => void;
    },
    handler: (request: Request) => Response,
  ): unknown;
};

const [chainFile = "", keyFile = ""] = Deno.args;

Deno.serve(
  {
    hostname: "127.0.0.1",
    port: 0,
    cert: Deno.readTextFileSync(chainFile),
    key: Deno.readTextFileSync(keyFile),
    onListen: ({ port }) => console.log(`LISTENING ${port}`),
  },
  (request) => {
    const { pathname, search } = new URL(request.url);
    const lines = [
      "Hello from rustls, a TLS stack that shares no line with OpenSSL.",
      "",
      "If you can read this in the page, it was decrypted in the page:",
      "no other program between us holds the key.",
      "",
      `you asked for   ${request.method} ${pathname}${search}`,
      `I am            Deno ${Deno.version.deno}`,
      `my clock says   ${new Date().toISOString()}`,
      "",
    ];
    const large = () => `${"0123456789abcdef".repeat(4)}\n`.repeat(16_384);
    return new Response(pathname === "/large" ? large() : lines.join("\n"), {
      headers: { "Content-Type": "text/plain; charset=utf-8" },
    });
  },
);
