// The page's session on the cases that the Python session passes too.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { HELD_LIMIT, Session, SKIP_LIMIT } from "../../zchat/web/session.js";

const CASES = JSON.parse(readFileSync(new URL("../cases/session.json", import.meta.url), "utf-8"));

/** @param {any} given */
function syncOf(given) {
  const chats = given.chats.map((/** @type {any} */ one) => ({
    id: one.chat,
    name: one.name ?? one.chat,
    kind: one.chat === "common" ? "common" : "group",
    head: one.head ?? 0,
    revision: one.revision ?? 0,
    read: one.read ?? 0,
    unread: one.unread ?? 0,
  }));
  return { epoch: given.epoch ?? "e", inbox: given.inbox ?? 0, chats };
}

/** @param {number} seq @param {any} [more] @returns {any} */
function messageOf(seq, more = {}) {
  const { author = "other", revision = 0 } = more;
  return {
    id: `m${seq}`,
    seq,
    author: { id: author, name: author },
    text: `text ${seq}`,
    revision,
    files: [],
  };
}

/** @param {import("../../zchat/web/session.js").Command} command */
function textOf(command) {
  if (command.do === "sync") return "sync";
  if (command.do !== "deliver") return `${command.do} ${command.chat_id} ${command.after}`;
  const { event, chat_id: chat, seq } = command.event;
  if (event === "message") return `message ${chat} ${seq}`;
  return chat === undefined ? event : `${event} ${chat}`;
}

class Script {
  constructor() {
    this.session = new Session("me");
    /** @type {any[]} */
    this.asked = [];
  }

  /** @param {any} step @returns {any[]} */
  take(step) {
    const { chat, seq, revision } = step;
    /** @type {Record<string, () => any[]>} */
    const known = {
      connect: () => this.session.connected(),
      disconnect: () => this.session.disconnected(),
      tick: () => this.session.tick(),
      sync: () => this.session.synced(/** @type {any} */ (syncOf(step))),
      refuse_sync: () => this.session.syncRefused(),
      message: () =>
        this.publish({ event: "message", chat_id: chat, seq, message: messageOf(seq, step) }),
      head: () => this.publish({ event: "head", chat_id: chat, seq, revision }),
      rename: () => this.publish({ event: "chat_renamed", chat_id: chat, name: step.name }),
      change: () =>
        this.publish({
          event: "message_changed",
          chat_id: chat,
          revision,
          message: messageOf(seq, step),
        }),
      inbox: () => this.publish({ event: step.event, chat_id: chat, seq, inbox: step.inbox }),
      page: () =>
        this.session.fetched(this.answer("fetch", chat), {
          messages: step.seqs.map((/** @type {number} */ one) => messageOf(one)),
          has_older: false,
          has_newer: step.has_newer ?? false,
          head: step.head,
        }),
      refuse: () => this.session.fetchRefused(this.answer("fetch", chat)),
      changes: () =>
        this.session.changed(this.answer("changes", chat), {
          messages: step.changed.map((/** @type {number[]} */ [one, at]) =>
            messageOf(one, { revision: at }),
          ),
          renamed: (step.renamed ?? []).map((/** @type {number} */ at) => ({
            id: "other",
            name: "other",
            revision: at,
          })),
          revision,
          more: step.more ?? false,
          chat: { name: chat, title: chat },
        }),
    };
    const commands = known[step.do]?.();
    assert.ok(commands, `the step ${step.do} is unknown`);
    this.asked.push(...commands);
    return commands;
  }

  /** @param {any} event */
  publish(event) {
    return this.session.published(JSON.parse(JSON.stringify(event)));
  }

  /** The oldest question of that kind. @param {string} kind @param {string} chat */
  answer(kind, chat) {
    const found = this.asked.findIndex((one) => one.do === kind && one.chat_id === chat);
    assert.ok(found >= 0, `no ${kind} of ${chat} was asked`);
    return this.asked.splice(found, 1)[0];
  }
}

for (const one of CASES) {
  test(one.name, () => {
    const script = new Script();
    if (one.chats) {
      script.take({ do: "connect" });
      script.take({ do: "sync", chats: one.chats, inbox: one.inbox });
    }
    one.steps.forEach((/** @type {any} */ step, /** @type {number} */ index) => {
      // What a session says of members beside the cases is its own.
      const texts = script.take(step).map(textOf);
      const shared = texts.filter((text) => !text.startsWith("chat_changed"));
      assert.deepEqual(shared, step.out, `step ${index}: ${step.do}`);
      for (const [chat, unread] of Object.entries(step.unread ?? {})) {
        assert.equal(script.session.chats.get(chat)?.unread, unread);
      }
    });
  });
}

test("a chat that is very far behind jumps to its head", () => {
  const script = new Script();
  script.take({ do: "connect" });
  script.take({ do: "sync", chats: [{ chat: "common", head: 1 }] });
  script.take({ do: "connect" });
  const head = SKIP_LIMIT + 2;
  const commands = script.take({ do: "sync", chats: [{ chat: "common", head, unread: head - 1 }] });
  assert.deepEqual(commands.map(textOf), ["skipped common", "caught_up"]);
  assert.equal(script.session.chats.get("common")?.unread, head - 1);
  assert.deepEqual(script.take({ do: "message", chat: "common", seq: head + 1 }).map(textOf), [
    `message common ${head + 1}`,
  ]);
});

test("held messages are bounded", () => {
  const script = new Script();
  script.take({ do: "connect" });
  script.take({ do: "sync", chats: [{ chat: "common" }] });
  for (let seq = 2; seq < HELD_LIMIT + 50; seq += 1) {
    script.take({ do: "message", chat: "common", seq });
  }
  assert.ok((script.session.chats.get("common")?.held.size ?? 0) <= HELD_LIMIT);
});

test("junk events change nothing", () => {
  const script = new Script();
  script.take({ do: "connect" });
  script.take({ do: "sync", chats: [{ chat: "common", head: 1 }] });
  for (const event of [
    { event: "message", chat_id: "common" },
    { event: "message", chat_id: "common", message: { seq: "2" } },
    { event: "head", chat_id: "common", seq: null },
    { event: "read", chat_id: "common", seq: {} },
    { event: "read", chat_id: "nowhere", seq: 4 },
    { event: "chat_removed" },
    { event: "constructor", chat_id: "nowhere" },
  ]) {
    assert.deepEqual(
      script.publish(event).filter((one) => one.do !== "deliver"),
      [],
    );
  }
  assert.equal(script.session.chats.get("common")?.cursor, 1);
});

test("what the gateway learnt only afterwards is taken without a count", () => {
  const script = new Script();
  script.take({ do: "connect" });
  script.take({ do: "sync", inbox: 7, chats: [{ chat: "group", head: 1, revision: 3 }] });
  const added = script.publish({ event: "chat_added", chat_id: "other", inbox: 0 });
  assert.deepEqual(added.map(textOf), ["sync"]);
  const named = script.publish({
    event: "chat_renamed",
    chat_id: "group",
    name: "new",
    revision: 0,
  });
  assert.deepEqual(named.map(textOf), ["chat_renamed group"]);
});
