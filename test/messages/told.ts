/**
 * What people are told: each way in which something fails, the code, and the text, to be read from above to below. A
 * text names the actor, what was wrong, and what can be done. test/node/messages.ts finds what has no row here.
 */
import QUnit from "qunit";
import { tlsError } from "../helpers/basics.ts";

export const HOLE = "…";

/** In the text, "…" is whatever another (an engine, a kernel) puts there. */
export type Told = [what: string, fail: () => unknown, code: string, text: string];
/** By what they are about. */
export type Table = Record<string, Told[]>;

/** A test for each row. */
export function tell(tables: readonly Table[]): void {
  for (const [about, rows] of tables.flatMap((table) => Object.entries(table))) {
    QUnit.module(`messages: ${about}`, () => {
      for (const [what, fail, code, text] of rows) {
        QUnit.test(what, async (assert) => {
          const error = await tlsError((async () => await fail())());
          if (fits(text).test(error.message)) assert.strictEqual(error.code, code);
          else assert.deepEqual([error.code, error.message], [code, text]);
        });
      }
    });
  }
}

/** What can be this text, whatever is in its holes. */
export function fits(text: string): RegExp {
  const parts = text.split(HOLE).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join("[^]*")}$`);
}
