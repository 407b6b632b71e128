/**
 * The shapes that travel, for the type checker: docs/reference/types.md.
 *
 * @typedef {{ id: string, name: string }} Person
 * @typedef {{ file_id: string, name: string, size: number, type: string }} FileInfo
 * @typedef {{ emoji: string, count: number, users: string[] }} Reaction
 * @typedef {{
 *   id: string, seq: number, created: string, author: Person, text: string,
 *   is_comment_on: string | null, comments: number, files: FileInfo[],
 *   mentions?: string[], revision?: number, edited?: string | null,
 *   deleted?: string | null, reactions?: Reaction[], chat_id?: string,
 * }} Message
 * @typedef {{
 *   id: string, name: string, title?: string, kind: "common" | "p2p" | "group",
 *   head: number, revision?: number, read: number, unread: number,
 *   mentions?: number, requests?: number,
 * }} SyncChat
 * @typedef {{
 *   id: string, name: string, role?: string, banned_until: string | null,
 *   receipts?: boolean,
 *   quota: { limit: number, remaining: number, period: number, resets_at: string | null } | null,
 * }} Me
 * @typedef {{ epoch: string, inbox?: number, chats: SyncChat[], user?: Me }} Sync
 * @typedef {SyncChat & { messages: Message[], size: number }} Chat
 * @typedef {{
 *   messages: Message[], has_older: boolean, has_newer: boolean, head: number,
 * }} History
 * @typedef {{
 *   revision: number, messages: Message[], more: boolean,
 *   renamed?: (Person & { revision: number })[],
 *   chat?: { name: string, title?: string, owner_id?: string | null, size?: number },
 * }} Changes
 * @typedef {{
 *   id: string, name: string, role?: string, online?: boolean,
 *   last_seen?: string | null, read?: number | null,
 * }} Member
 */
export {};
