/** docs/advisories.md, its half for machines, the patches, and what `npm run advisories` makes of what it finds. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import QUnit from "qunit";
import { rootsOfText } from "../../wasm/build/certdata.ts";
import { advisoriesOf, compareVersions, type Found, MAX_AGE, verdict } from "../../wasm/build/verdict.ts";

const project = process.env.WASSL_REPOSITORY ?? "";
const read = (...path: string[]) => readFileSync(join(project, ...path), "utf8");
const advisories = () => advisoriesOf(read("docs", "advisories.md"));

interface Statement {
  vulnerability: { name: string };
  status: string;
  status_notes?: string;
  justification?: string;
}

QUnit.module("advisories", () => {
  QUnit.test("the page and the OpenVEX file say the same", (assert) => {
    const { statements } = JSON.parse(read("docs", "advisories.openvex.json")) as { statements: Statement[] };
    const status = (reachable: boolean) => (reachable ? "fixed" : "not_affected");
    assert.deepEqual(
      statements.map(({ vulnerability, status }) => `${vulnerability.name} ${status}`).sort(),
      advisories()
        .map(({ cve, reachable }) => `${cve} ${status(reachable)}`)
        .sort(),
    );
    for (const { status, justification, vulnerability } of statements)
      if (status === "not_affected") assert.true(Boolean(justification), vulnerability.name);
  });

  QUnit.test("each that is reachable has a patch and a test, and each patch is still needed", (assert) => {
    const tests = ["openssl/dtls", "certificates/size-bounds"]
      .map((name) => read("test", "contract", `${name}.ts`))
      .join("");
    const patches = new Set(
      readdirSync(join(project, "wasm", "patches")).filter((name) => name.startsWith("cve-")),
    );
    const [, pinned = ""] = read("wasm", "openssl.lock").match(/^OPENSSL_VERSION=(.+)$/m) ?? [];
    for (const { cve, reachable, fixedIn, how, test } of advisories()) {
      assert.true(how !== "", `${cve}: why, or how`);
      const patch = `${cve.toLowerCase()}.patch`;
      const needed = reachable && compareVersions(fixedIn, pinned) > 0;
      assert.strictEqual(
        patches.delete(patch),
        needed,
        `${patch}: fixed in ${fixedIn}, and ${pinned} is pinned`,
      );
      if (!needed) continue;
      assert.true(
        how.includes(patch) &&
          read("wasm", "patches", patch)
            .replace(/\s+/g, " ")
            .includes(`Goes when the pin moves to ${fixedIn}`),
        patch,
      );
      assert.true(tests.includes(test.replace(/^[\w ]+: /, "")) && test !== "", `${cve}: a test, "${test}"`);
    }
    assert.deepEqual([...patches], [], "patches for what the page does not name");
  });

  QUnit.test("versions are compared as numbers", (assert) => {
    for (const [a, b] of [
      ["3.5.7", "3.5.8"],
      ["3.5.9", "3.5.10"],
      ["3.99", "3.110"],
      ["3.131", "3.131.1"],
    ] as const) {
      assert.true(compareVersions(a, b) < 0, `${a} < ${b}`);
      assert.true(compareVersions(b, a) > 0, `${b} > ${a}`);
      assert.strictEqual(compareVersions(a, a), 0);
    }
  });

  QUnit.test("the verdict", (assert) => {
    const day = 86_400_000;
    const from = Date.UTC(2026, 9, 28);
    const found = (mirror: Found["mirror"], age = 1): Found => ({
      pinned: { openssl: "3.5.7", nss: "3.132", rootsDate: "2026-10-28" },
      advisories: advisories(),
      now: new Date(from + age * day),
      mirror,
    });
    const [there, named] = [
      { version: "3.5.8", fetched: true },
      { version: "3.5.11", fetched: false },
    ];
    for (const [what, input, act, said] of [
      ["nothing newer", found({ openssl: [], nss: [] }), false, /names nothing newer/],
      [
        "named, and no more",
        found({ openssl: [named], nss: [] }),
        false,
        /NAMES 3\.5\.11, but its files CANNOT BE FETCHED/,
      ],
      [
        "more than the page knows",
        found({ openssl: [named], nss: [] }),
        false,
        /NOT YET say what 3\.5\.11 mends/,
      ],
      ["one that can be fetched", found({ openssl: [there], nss: [] }), true, /3\.5\.8 CAN BE FETCHED/],
      [
        "named, and an older one that is there",
        found({ openssl: [named, there], nss: [] }),
        true,
        /3\.5\.8 CAN BE FETCHED/,
      ],
      [
        "newer roots alone",
        found({ openssl: [], nss: [{ version: "3.133", fetched: true }] }),
        false,
        /3\.133 CAN BE FETCHED/,
      ],
      ["roots of the last day", found({ openssl: [], nss: [] }, MAX_AGE), false, /90 days old/],
      ["old roots", found({ openssl: [], nss: [] }, MAX_AGE + 1), true, /MORE THAN 90/],
      ["offline", found(undefined), false, /offline/],
      ["offline, old roots", found(undefined, MAX_AGE + 1), true, /MORE THAN 90/],
    ] as const) {
      const { lines, act: does } = verdict(input);
      assert.strictEqual(does, act, what);
      assert.true(said.test(lines.join("\n")), `${what}: ${lines.join("\n")}`);
    }
  });

  QUnit.test("certdata.txt: delegators for servers alone, with their dates", (assert) => {
    const octal = (bytes: number[]) =>
      `MULTILINE_OCTAL\n${bytes.map((b) => `\\${b.toString(8).padStart(3, "0")}`).join("")}\nEND`;
    const text = (value: string) => octal([...value].map((c) => c.charCodeAt(0)));
    const entry = (n: number, trust: string, after?: string) => `
# a comment
CKA_CLASS CK_OBJECT_CLASS CKO_CERTIFICATE
CKA_TOKEN CK_BBOOL CK_TRUE
CKA_LABEL UTF8 "Root ${n}"
CKA_ISSUER ${octal([n])}
CKA_SERIAL_NUMBER ${octal([2, 1, n])}
CKA_VALUE ${octal([48, 1, n])}
CKA_NSS_SERVER_DISTRUST_AFTER ${after === undefined ? "CK_BBOOL CK_FALSE" : text(after)}

CKA_CLASS CK_OBJECT_CLASS CKO_NSS_TRUST
CKA_LABEL UTF8 "Root ${n}"
CKA_ISSUER ${octal([n])}
CKA_SERIAL_NUMBER ${octal([2, 1, n])}
CKA_TRUST_SERVER_AUTH CK_TRUST ${trust}
CKA_TRUST_EMAIL_PROTECTION CK_TRUST CKT_NSS_TRUSTED_DELEGATOR
`;
    const roots = rootsOfText(
      `# before\nBEGINDATA\n${entry(1, "CKT_NSS_TRUSTED_DELEGATOR")}${entry(2, "CKT_NSS_MUST_VERIFY_TRUST")}${entry(3, "CKT_NSS_TRUSTED_DELEGATOR", "260415235959Z")}${entry(4, "CKT_NSS_NOT_TRUSTED")}`,
    );
    assert.deepEqual(
      roots.map(({ label, der, distrustAfter }) => [label, [...der], distrustAfter]),
      [
        ["Root 1", [48, 1, 1], undefined],
        ["Root 3", [48, 1, 3], Date.UTC(2026, 3, 15, 23, 59, 59) / 1000],
      ],
    );
    assert.throws(() => rootsOfText("nothing"), /no trust anchors/);
  });
});
