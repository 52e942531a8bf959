/**
 * The list of functions: abi.h, abi.ts that is generated from it, and the module, which exports them. What the types
 * refuse: test/types.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import QUnit from "qunit";
import { declarations, GENERATED, generate, HEADER } from "../../wasm/build/header.ts";

const repository = process.env.WASSL_REPOSITORY ?? "";
const read = (path: string) => readFileSync(join(repository, path), "utf8");
const header = read(HEADER);

QUnit.module("the ABI", () => {
  QUnit.test("abi.ts is what abi.h says: npm run abi", (assert) => {
    assert.true(read(GENERATED) === generate(header));
  });

  QUnit.test("the module exports what abi.h declares, and nothing else", (assert) => {
    const bytes = readFileSync(createRequire(import.meta.url).resolve("wassl/openssl.wasm"));
    const exported = WebAssembly.Module.exports(new WebAssembly.Module(bytes)).map(({ name }) => name);
    // The table cannot be called through from outside with anything but what is exported: it stays, emcc insists.
    const runtime = ["memory", "__indirect_function_table"];
    assert.deepEqual(
      exported.filter((name) => !runtime.includes(name)).sort(),
      declarations(header)
        .map(({ name }) => name)
        .sort(),
    );
  });

  QUnit.test("each function is called", (assert) => {
    const code = readdirSync(join(repository, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !GENERATED.endsWith(file))
      .map((file) => read(join("src", file)))
      .join();
    for (const { name } of declarations(header)) assert.true(new RegExp(`\\.${name}\\b`).test(code), name);
  });

  QUnit.test("words become types, and comments documentation", (assert) => {
    const text = generate(`#define OWNED
/* ---- x.c: things ---- */

/* How many. */
#define WASSL_SIZE 7

/*
 * Two
 * lines.
 */
OWNED X509 *wassl_x(SSL_CTX *ctx, OWNED OR_NULL BIO *bio, const char *key_name, const uint8_t *p, OUT size_t *length);
void wassl_x_free(OWNED X509 *x);

/* About all. */

BORROWED NEVER_NULL STACK_OF(X509) *wassl_y(OUT OWNED X509 *out[2], OUT char **p, OUT OR_NULL const char **text, uint64_t bits);
wassl_ok wassl_z(void);

#endif
`);
    assert.deepEqual(text.split("\n").slice(7), [
      "  // ---- x.c: things",
      "",
      "  /**",
      "   * Two",
      "   * lines.",
      "   */",
      "  wassl_x(",
      '    ctx: Borrowed<"SSL_CTX">,',
      '    bio: Owned<"BIO"> | 0,',
      '    keyName: Borrowed<"text">,',
      '    p: Borrowed<"bytes">,',
      "    length: Out<number>,",
      '  ): Owned<"X509"> | 0;',
      '  wassl_x_free(x: Owned<"X509">): void;',
      "",
      "  // About all.",
      "",
      "  wassl_y(",
      '    out: Out<Owned<"X509">>,',
      '    p: Out<Borrowed<"bytes">>,',
      '    text: Out<Borrowed<"text"> | 0>,',
      "    bits: bigint,",
      '  ): Borrowed<"STACK_OF(X509)">;',
      "  wassl_z(): Ok;",
      "}",
      "",
      "/** How many. */",
      "export const WASSL_SIZE = 7;",
      "",
    ]);
  });

  QUnit.test("what the generator does not understand it refuses, with the line", (assert) => {
    const refused: Record<string, RegExp> = {
      "X509 *wassl_x(void);": /one of OWNED and BORROWED/,
      "OWNED BORROWED X509 *wassl_x(void);": /one of OWNED and BORROWED/,
      "OWNED int wassl_x(void);": /no pointer/,
      "OR_NULL X509 *wassl_x(void);": /OR_NULL has no meaning here/,
      "int wassl_x(BORROWED SSL *ssl);": /BORROWED has no meaning here/,
      "int wassl_x(OWNED OWNED SSL *ssl);": /OWNED has no meaning here/,
      "int wassl_x(OR_NULL int n);": /no pointer/,
      "int wassl_x(SSL *);": /a parameter without a name/,
      "int wassl_x();": /a parameter without a name/,
      "int wassl_x(SSL *in);": /must not be called in/,
      "int wassl_x(int n, int n);": /two parameters of one name/,
      "int wassl_x(int a, int b, int c, int d, int e, int f);": /more than five/,
      "time_t wassl_x(void);": /the type time_t is unknown/,
      "int wassl_x(struct foo *foo);": /what struct foo \* points at is unknown/,
      "int wassl_x(float n);": /the type float is unknown/,
      "int wassl_x(SSL **ssl);": /points at is unknown/,
      "int wassl_x(OUT int n);": /OUT before no pointer/,
      "int wassl_x(OUT SSL *ssl);": /no number, and no pointer/,
      "int wassl_x(OUT uint64_t *n);": /no number, and no pointer/,
      "int wassl_x(int n[2]);": /an array that is not OUT/,
      "int wassl_x(int (*callback)(void));": /points at is unknown|without a name|unknown/,
      "int SSL_x(void);": /no declaration/,
      "int wassl_x(void)": /no declaration/,
      "int wassl_x(int a,\n    int b);": /no declaration/,
      "#define WASSL_X (1 << 2)": /no declaration/,
      "typedef int wassl_x;": /no declaration/,
      "int wassl_x(void); /* behind it */": /no declaration/,
      "int wassl_x(void);\nint wassl_x(void);": /declared twice/,
      "OWNED SSL *wassl_x(void);": /no function frees a SSL/,
      "OWNED SSL *wassl_x(void);\nvoid wassl_x_free(SSL *ssl);": /no function frees a SSL/,
      "/* one */\n/* two */\nint wassl_x(void);": /right below another/,
      "/*\nno star\n */\nint wassl_x(void);": /begins with ' \* '/,
      "/* no end": /begins with/,
    };
    for (const [text, why] of Object.entries(refused)) {
      assert.throws(
        () => generate(`/* ---- x.c: things ---- */\n\n${text}\n\n#endif\n`),
        (error: Error) => why.test(error.message) && /^wasm\/abi\/abi\.h:\d+: /.test(error.message),
        text,
      );
    }
    assert.throws(() => generate("int wassl_x(void);\n"), /before the first section/);
  });
});
