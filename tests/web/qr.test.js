// The codes against those that another encoder makes (qrcode 8 for Python),
// with each mask in turn.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { qrMatrix } from "../../zchat/web/qr.js";

const CASES = JSON.parse(readFileSync(new URL("../cases/qr.json", import.meta.url), "utf-8"));

for (const { text, mask, version, rows } of CASES) {
  test(`version ${version}, mask ${mask}`, () => {
    const found = qrMatrix(text, mask);
    assert.equal(found.length, 17 + 4 * version);
    const hex = found.map((row) => BigInt(`0b${row.join("")}`).toString(16));
    assert.deepEqual(hex, rows);
  });
}

test("without a mask the one with the lowest penalty is taken", () => {
  const found = JSON.stringify(qrMatrix("http://127.0.0.1:8000/"));
  const each = [0, 1, 2, 3, 4, 5, 6, 7].map((mask) => qrMatrix("http://127.0.0.1:8000/", mask));
  assert.equal(each.filter((one) => JSON.stringify(one) === found).length, 1);
});

test("a text that does not fit is refused", () => {
  assert.throws(() => qrMatrix("x".repeat(214)), RangeError);
});
