/** Examples in doc comments: every public function and class has one, and each compiles as a user's own code would. */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import QUnit from "qunit";
import { ours, repository } from "../examples.ts";

/** The runner starts us in a folder whose node_modules hold the unpacked tarball. */
const root = join(process.cwd(), "node_modules", "wassl");

/** What examples may use without saying where it comes from. */
const given = `
/** Carries bytes. */
declare const transport: import("wassl").Transport;
/** An open connection. */
declare const tls: import("wassl").TlsStream;
declare const openssl: import("wassl/openssl").OpenSsl;
/** Certificates and keys. */
declare const pem: string;
declare const cert: string;
declare const key: string;
/** Bytes. */
declare const request: Uint8Array;
/** What is used of Cloudflare's Workers. */
declare module "cloudflare:sockets" {
  export const connect: import("wassl/dialers/cloudflare").CloudflareConnectLike;
}
/** What is used of Deno. */
declare const Deno: {
  openKv(): Promise<import("wassl/sessions/deno-kv").DenoKvLike>;
  connect(to: { hostname: string; port: number }): Promise<import("wassl/transports/deno").DenoConnLike>;
};
`;

/** The blocks of TypeScript in a text, each line of which may begin as in a comment. */
function blocks(text: string): string[] {
  const plain = text.replace(/^\s*\* ?/gm, "");
  return [...plain.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => code);
}

const declarations = readdirSync(join(root, "dist"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".d.ts") && !file.startsWith("cli"))
  .map((file) => join(root, "dist", file));

QUnit.module("examples in doc comments", () => {
  QUnit.test("every public function and class has one", (assert) => {
    const ts = ours("typescript") as typeof import("typescript");
    const { exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
      exports: Record<string, string | object>;
    };
    const entries = Object.values(exports).filter((file) => typeof file === "string" && file.endsWith(".js"));
    const files = entries.map((file) => join(root, String(file).replace(/\.js$/, ".d.ts")));
    const program = ts.createProgram(files, { module: ts.ModuleKind.NodeNext, noResolve: false, types: [] });
    const checker = program.getTypeChecker();
    let count = 0;
    for (const file of files) {
      const module = checker.getSymbolAtLocation(program.getSourceFile(file)!);
      for (const exported of checker.getExportsOfModule(module!)) {
        const alias = (exported.flags & ts.SymbolFlags.Alias) !== 0;
        const symbol = alias ? checker.getAliasedSymbol(exported) : exported;
        for (const declaration of symbol.declarations ?? []) {
          if (!ts.isFunctionDeclaration(declaration) && !ts.isClassDeclaration(declaration)) continue;
          count++;
          const comments = ts.getJSDocCommentsAndTags(declaration).map((comment) => comment.getText());
          assert.true(blocks(comments.join("\n")).length > 0, `${relative(root, file)}: ${symbol.name}`);
        }
      }
    }
    assert.true(count > 30, `${count} of them`);
  });

  QUnit.test("each compiles, and so do those of README.md", async (assert) => {
    assert.timeout(120_000);
    const folder = join(process.cwd(), "doc-examples");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "given.d.ts"), given);
    const options = {
      strict: true,
      noEmit: true,
      target: "es2022",
      module: "nodenext",
      lib: ["es2023", "dom", "dom.iterable", "dom.asynciterable", "esnext.disposable"],
      types: ["node"],
      typeRoots: [join(repository, "node_modules", "@types")],
      moduleDetection: "force",
      skipLibCheck: true,
    };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options }));
    let count = 0;
    for (const file of [join(root, "README.md"), ...declarations]) {
      for (const [i, code] of blocks(readFileSync(file, "utf8")).entries()) {
        const name = relative(root, file).replaceAll(/[^\w-]/g, "_");
        writeFileSync(join(folder, `${name}-${i}.ts`), code);
        count++;
      }
    }
    assert.true(count > 30, `${count} of them`);
    const said = await new Promise<string>((resolve) => {
      execFile(process.execPath, [ours.resolve("typescript/bin/tsc"), "-p", folder], (_error, stdout) =>
        resolve(stdout),
      );
    });
    assert.strictEqual(said, "");
  });
});
