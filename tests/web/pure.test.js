// The other pure modules: text, stretches of messages, heights, the stream.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Heights } from "../../zchat/web/heights.js";
import { Messages, Stretches } from "../../zchat/web/messages.js";
import { EventParser } from "../../zchat/web/stream.js";
import { excerpt, isOnlyEmoji, pieces } from "../../zchat/web/text.js";
import { dayName, dayNumber, madeAt, until } from "../../zchat/web/when.js";

/** @param {string} text */
function shown(text) {
  return pieces(text).map((piece) => [piece.kind, piece.text]);
}

test("links end before the punctuation of their sentence", () => {
  assert.deepEqual(shown("see https://a.example/b(c), ok"), [
    ["text", "see "],
    ["link", "https://a.example/b(c)"],
    ["text", ", ok"],
  ]);
  assert.deepEqual(shown("(http://a.example/x)."), [
    ["text", "("],
    ["link", "http://a.example/x"],
    ["text", ")."],
  ]);
});

test("only web addresses are links", () => {
  for (const text of ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd"]) {
    assert.deepEqual(shown(text), [["text", text]]);
  }
});

test("code and blocks are taken as they are", () => {
  assert.deepEqual(shown("a `<b>` c"), [
    ["text", "a "],
    ["code", "<b>"],
    ["text", " c"],
  ]);
  assert.deepEqual(shown("x\n```js\nlet a = `b`;\n```\ny"), [
    ["text", "x"],
    ["block", "let a = `b`;"],
    ["text", "y"],
  ]);
});

test("mentions are words of their own", () => {
  assert.deepEqual(shown("hi @анна. me@b.example"), [
    ["text", "hi "],
    ["mention", "@анна"],
    ["text", ". me@b.example"],
  ]);
});

test("nothing of a text is lost or made up", () => {
  const alphabet = ["a", "`", "```", "\n", "@", "https://x", "<", ")", ".", " ", "я", "\u202e"];
  let state = 12345;
  const next = () => (state = (state * 1103515245 + 12345) % 2147483648);
  for (let round = 0; round < 3000; round += 1) {
    const text = Array.from({ length: next() % 14 }, () => alphabet[next() % alphabet.length]).join(
      "",
    );
    const letters = (/** @type {string} */ some) => some.replace(/[`\n]/gu, "");
    assert.equal(
      letters(
        pieces(text)
          .map((piece) => piece.text)
          .join(""),
      ),
      letters(text),
      JSON.stringify(text),
    );
  }
});

test("a long run of one character takes no time", () => {
  const begun = performance.now();
  for (const one of ["`", "@", "https://", "(", "a@", "``` "]) {
    pieces(one.repeat(4096 / one.length));
  }
  assert.ok(performance.now() - begun < 2000);
});

test("emoji alone are large", () => {
  assert.ok(isOnlyEmoji("🎉"));
  assert.ok(isOnlyEmoji("👨‍👩‍👧 ❤️"));
  assert.ok(!isOnlyEmoji("12"));
  assert.ok(!isOnlyEmoji(""));
  assert.ok(!isOnlyEmoji("🎉 yes"));
});

test("an excerpt is one line and cuts no character", () => {
  assert.equal(excerpt("a\n b", 10), "a b");
  assert.equal(excerpt("😀😀😀", 2), "😀😀…");
});

test("stretches join and part", () => {
  const some = new Stretches();
  some.add(5, 9);
  some.add(1, 2);
  some.add(3, 4);
  assert.deepEqual(some.all, [[1, 9]]);
  some.remove(4, 6);
  assert.deepEqual(some.all, [
    [1, 3],
    [7, 9],
  ]);
  assert.equal(some.firstMissing(1, 9), 4);
  assert.equal(some.lastMissing(1, 9), 6);
  assert.equal(some.firstMissing(7, 9), null);
  assert.ok(some.has(7) && !some.has(6));
});

/** @param {number} seq @param {any} [more] @returns {any} */
function message(seq, more = {}) {
  return { id: `m${seq}`, seq, is_comment_on: null, comments: 0, text: "", files: [], ...more };
}

/** @param {number[]} seqs @param {any} more @returns {any} */
function page(seqs, more) {
  return { messages: seqs.map((seq) => message(seq)), has_older: true, has_newer: true, ...more };
}

test("a page says what is loaded, and where the chat begins", () => {
  const messages = new Messages(100);
  messages.addPage(page([90, 91, 93, 95], { has_newer: false, head: 100 }), { before: 101 });
  assert.deepEqual(messages.loaded.all, [[90, 100]]);
  assert.equal(messages.first, 1);
  messages.addPage(page([80, 81], { has_older: false, head: 100 }), { before: 90 });
  assert.equal(messages.first, 80);
  assert.deepEqual(messages.loaded.all, [[80, 100]]);
  assert.ok(messages.isUnknown(79));
  messages.addPage(page([], { has_older: false, has_newer: false, head: 100 }), {});
  assert.equal(messages.first, 101);
});

test("a comment counts once, whether it came first or its count did", () => {
  const messages = new Messages(1);
  messages.addPage(page([1], { head: 1 }), {});
  messages.append(message(2, { is_comment_on: "m1" }));
  assert.equal(messages.byId("m1")?.comments, 1);
  messages.append(message(2, { is_comment_on: "m1" }));
  assert.equal(messages.byId("m1")?.comments, 1);
  messages.change(message(1, { comments: 2, revision: 4 }));
  messages.change(message(1, { comments: 0, revision: 3, text: "older" }));
  assert.equal(messages.byId("m1")?.comments, 2);
  assert.equal(messages.byId("m1")?.text, "");
});

test("what is far from the screen is let go, and loaded again on sight", () => {
  const messages = new Messages(0);
  for (let seq = 1; seq <= 9000; seq += 1) messages.append(message(seq));
  messages.trim(8900, 9000);
  assert.ok(messages.bySeq.size <= 4000);
  assert.ok(messages.isUnknown(100));
  assert.ok(!messages.isUnknown(8950));
  assert.equal(messages.byId("m100"), undefined);
});

test("heights add up like a plain list of them", () => {
  const heights = new Heights(10);
  /** @type {number[]} */
  const plain = [];
  let state = 7;
  const next = (/** @type {number} */ most) => (state = (state * 48271) % 2147483647) % most;
  for (let round = 0; round < 2000; round += 1) {
    if (round % 3 === 0) {
      const length = plain.length + next(9);
      while (plain.length < length) plain.push(10);
      heights.grow(length);
    } else if (plain.length > 0) {
      const row = next(plain.length);
      plain[row] = next(80);
      heights.set(row, plain[row]);
    }
    if (plain.length === 0) continue;
    const row = next(plain.length + 1);
    const sum = plain.slice(0, row).reduce((total, height) => total + height, 0);
    assert.equal(heights.before(row), sum);
    const offset = next(Math.max(1, heights.total));
    let [at, top] = [0, 0];
    while (at < plain.length - 1 && top + plain[at] <= offset) top += plain[at++];
    assert.equal(heights.at(offset), at);
  }
  heights.dropBefore(5);
  assert.equal(heights.before(5), 0);
  assert.equal(
    heights.total,
    plain.slice(5).reduce((total, height) => total + height, 0),
  );
});

test("events are read across any pieces", () => {
  const text =
    'retry: 2000\n\n: still here\n\nevent: message\nid: abc\ndata: {"a":"\\n я"}\n\ndata: {"b":1}\n\n';
  for (let size = 1; size < 12; size += 1) {
    const parser = new EventParser();
    const found = [];
    for (let at = 0; at < text.length; at += size) {
      found.push(...parser.feed(text.slice(at, at + size)));
    }
    assert.deepEqual(found, [{ a: "\n я" }, { b: 1 }]);
  }
});

test("days, and how long until", () => {
  const now = new Date(2026, 10, 24, 0, 30);
  assert.equal(dayName(new Date(2026, 10, 23, 23, 59).toISOString(), now), "Yesterday");
  assert.equal(dayName(new Date(2026, 10, 24, 0, 1).toISOString(), now), "Today");
  assert.equal(dayNumber(now) - dayNumber(new Date(2026, 9, 24, 23)), 31);
  assert.equal(until(new Date(now.getTime() + 90_000).toISOString(), now.getTime()), "2 min");
  assert.equal(until(new Date(now.getTime() + 4 * 3_600_000).toISOString(), now.getTime()), "4 h");
  assert.equal(madeAt("01a209b9-0000-7000-8000-000000000000"), 0x01a209b90000);
});
