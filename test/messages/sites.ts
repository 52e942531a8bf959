/**
 * Where src makes an error, and what it says: found in the sources, so that none is forgotten.
 *
 * A site is a `new …Error(…)`, or a call of a function that puts one of its arguments into the message of one. A text
 * that is put together is known but for what is put in; of an expression with a choice each outcome is a site.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type * as TS from "typescript";
import { HOLE } from "./told.ts";

export interface Site {
  /** "file.ts:12", within src. */
  at: string;
  /** undefined where it is not said at the site itself. */
  code: string | undefined;
  /** What it says, with "…" for each thing that is put in. */
  text: string;
}

/** A function that makes the message of an error of its parameter `index`. */
interface Maker {
  index: number;
  /** Others call it by its name alone where they import it, and by a dot where it is a method. */
  file: TS.SourceFile;
  isMethod: boolean;
  codeIndex?: number;
  code?: string;
}

export function sitesOf(ts: typeof TS, src: string): Site[] {
  const files = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts") && name !== "roots/table.ts")
    .sort()
    .map((name) => {
      const text = readFileSync(join(src, name), "utf8");
      return ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true);
    });
  const makers = new Map<string, Maker[]>();
  const count = () => [...makers.values()].flat().length;
  const sites = new Map<string, Site>();
  // Until no function is found any more that passes its own parameter on.
  for (let known = -1; known !== count(); ) {
    known = count();
    sites.clear();
    for (const file of files) look(file, file);
  }
  return [...sites.values()];

  function look(file: TS.SourceFile, node: TS.Node): void {
    if (ts.isNewExpression(node) || ts.isCallExpression(node)) read(file, node);
    ts.forEachChild(node, (child) => look(file, child));
  }

  function read(file: TS.SourceFile, node: TS.NewExpression | TS.CallExpression): void {
    const made = ts.isNewExpression(node) ? ofClass(node) : ofMaker(file, node);
    const args = node.arguments ?? [];
    const message = made && args[made.index];
    if (!made || !message) return;
    const codeArgument = made.codeIndex === undefined ? undefined : args[made.codeIndex];
    const code =
      made.code ?? (codeArgument && ts.isStringLiteralLike(codeArgument) ? codeArgument.text : undefined);
    const parameter = parameterOf(message);
    if (parameter) {
      const [name, index, isMethod] = parameter;
      const same = makers.get(name) ?? [];
      makers.set(name, same);
      if (same.some((each) => each.file === file && each.index === index)) return;
      const codeIndex = codeArgument && parameterOf(codeArgument)?.[1];
      same.push({
        ...{ index, file, isMethod },
        ...(codeIndex !== undefined && { codeIndex }),
        ...(code !== undefined && { code }),
      });
      return;
    }
    const line = file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    for (const text of textsOf(message)) {
      const site = { at: `${file.fileName}:${line}`, code, text };
      sites.set(JSON.stringify([file.fileName, node.pos, text]), site);
    }
  }

  function ofClass(node: TS.NewExpression): Pick<Maker, "index" | "code" | "codeIndex"> | undefined {
    if (!ts.isIdentifier(node.expression)) return undefined;
    const name = node.expression.text;
    if (!/^(?:[A-Z][A-Za-z]*)?Error$/.test(name)) return undefined;
    return name === "TlsError" ? { index: 1, codeIndex: 0 } : { index: 0 };
  }

  function ofMaker(file: TS.SourceFile, { expression }: TS.CallExpression): Maker | undefined {
    const byDot = ts.isPropertyAccessExpression(expression);
    const name = byDot ? expression.name : expression;
    if (!ts.isIdentifier(name) && !ts.isPrivateIdentifier(name)) return undefined;
    const known = makers.get(name.text) ?? [];
    const isImported = new RegExp(`^import [^;]*\\b${name.text}\\b`, "m").test(file.text);
    return (
      known.find((maker) => maker.file === file && maker.isMethod === byDot) ??
      known.find((maker) => maker.file !== file && (byDot ? maker.isMethod : isImported))
    );
  }

  /** The function and the place of the parameter that `node` is. */
  function parameterOf(node: TS.Node): [name: string, index: number, isMethod: boolean] | undefined {
    if (!ts.isIdentifier(node)) return undefined;
    for (let at: TS.Node | undefined = node.parent; at; at = at.parent) {
      if (!ts.isFunctionLike(at)) continue;
      const index = at.parameters.findIndex(({ name }) => ts.isIdentifier(name) && name.text === node.text);
      if (index < 0) continue;
      const named = at.name ?? (ts.isVariableDeclaration(at.parent) ? at.parent.name : undefined);
      if (named && (ts.isIdentifier(named) || ts.isPrivateIdentifier(named))) {
        return [named.text, index, ts.isMethodDeclaration(at)];
      }
      return undefined;
    }
    return undefined;
  }

  function textsOf(node: TS.Expression): string[] {
    if (ts.isStringLiteralLike(node)) return [node.text];
    if (ts.isParenthesizedExpression(node)) return textsOf(node.expression);
    if (ts.isConditionalExpression(node)) return [...textsOf(node.whenTrue), ...textsOf(node.whenFalse)];
    if (ts.isTemplateExpression(node)) {
      return [node.head.text + node.templateSpans.map((span) => HOLE + span.literal.text).join("")];
    }
    if (ts.isBinaryExpression(node)) {
      const [left, right] = [textsOf(node.left), textsOf(node.right)];
      if (node.operatorToken.kind === ts.SyntaxKind.PlusToken)
        return left.flatMap((start) => right.map((end) => start + end));
      if (node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken) return [...left, ...right];
    }
    if (ts.isIdentifier(node)) {
      const found = declaration(node);
      if (found) return textsOf(found);
    }
    return [HOLE];
  }

  /** What a constant of the same block, or of one around it, was made of. */
  function declaration(node: TS.Identifier): TS.Expression | undefined {
    for (let at: TS.Node | undefined = node.parent; at; at = at.parent) {
      if (!ts.isBlock(at) && !ts.isSourceFile(at)) continue;
      for (const statement of at.statements) {
        if (!ts.isVariableStatement(statement)) continue;
        for (const each of statement.declarationList.declarations)
          if (ts.isIdentifier(each.name) && each.name.text === node.text) return each.initializer;
      }
    }
    return undefined;
  }
}
