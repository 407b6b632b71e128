/**
 * What somebody wrote, taken apart: links, code, mentions, and everything else
 * as it is. Pure; `nodesOf` in message.js makes nodes of the pieces.
 */

/** @typedef {{ kind: "text" | "link" | "code" | "block" | "mention", text: string }} Piece */

const BLOCK = /```(?:[\w+-]{0,20}\n)?([\s\S]+?)```/u;
const INLINE =
  /(?<link>https?:\/\/[^\s<>"'`]{1,2000})|(?<code>`[^`\n]+`)|(?<![\p{L}\p{N}_@])(?<mention>@[\p{L}\p{M}\p{N}_.-]{1,32})/gu;

/** @param {string} text @returns {Piece[]} */
export function pieces(text) {
  /** @type {Piece[]} */
  const found = [];
  let rest = text;
  for (;;) {
    const block = BLOCK.exec(rest);
    if (!block) break;
    inline(rest.slice(0, block.index).replace(/\n$/u, ""), found);
    found.push({ kind: "block", text: block[1].replace(/\n$/u, "") });
    rest = rest.slice(block.index + block[0].length).replace(/^\n/u, "");
  }
  inline(rest, found);
  return found;
}

/** @param {string} text @param {Piece[]} found */
function inline(text, found) {
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    let piece = match[0];
    const groups = match.groups ?? {};
    if (groups.link) piece = trimmedLink(piece);
    if (groups.mention) piece = piece.replace(/[.-]+$/u, "");
    if (piece.length < 2) continue;
    if (match.index > end) {
      found.push({ kind: "text", text: text.slice(end, match.index) });
    }
    if (groups.link) found.push({ kind: "link", text: piece });
    else if (groups.code) {
      found.push({ kind: "code", text: piece.slice(1, -1) });
    } else found.push({ kind: "mention", text: piece });
    end = match.index + piece.length;
  }
  if (end < text.length) found.push({ kind: "text", text: text.slice(end) });
}

/** A link without the punctuation of the sentence around it. @param {string} link */
function trimmedLink(link) {
  let trimmed = link.replace(/[.,;:!?…»”’]+$/u, "");
  while (trimmed.endsWith(")") && count(trimmed, ")") > count(trimmed, "(")) {
    trimmed = trimmed.slice(0, -1).replace(/[.,;:!?]+$/u, "");
  }
  return trimmed;
}

/** @param {string} text @param {string} character */
function count(text, character) {
  return text.split(character).length - 1;
}

const EMOJI =
  /\p{RI}{2}|\p{Emoji_Presentation}|\p{Extended_Pictographic}|\p{Emoji_Modifier}|\u200D|\uFE0F/gu;

/** Whether a text is a few emoji and nothing else. @param {string} text */
export function isOnlyEmoji(text) {
  const shown = text.replace(/\s/gu, "");
  return shown !== "" && shown.length <= 24 && shown.replace(EMOJI, "") === "";
}

/** Names are equal after NFKC and without regard to case. @param {string} name */
export function folded(name) {
  return name.normalize("NFKC").toLowerCase();
}

/** One line of at most so many characters. @param {string} text @param {number} length */
export function excerpt(text, length) {
  const line = text.replace(/\s+/gu, " ").trim();
  const characters = Array.from(line.slice(0, length * 4));
  return characters.length > length ? `${characters.slice(0, length).join("")}…` : line;
}
