/** Calls of the gateway's HTTP interface, with the token in a header only. */

const CALL_MILLISECONDS = 20_000;

/** The server understood and said no; `message` says what to do. */
export class Refused extends Error {
  /** @param {number} status @param {Record<string, any>} problem */
  constructor(status, problem) {
    super(String(problem.detail || "The server refused this."));
    this.status = status;
    this.code = String(problem.code || "");
    this.data = problem;
  }

  /** Whether the same request may succeed later, unchanged. */
  get isPassing() {
    return this.status === 503 || this.status === 502 || this.status === 504;
  }
}

/** No answer: the server or the way to it is down. */
export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached. This page keeps trying.");
  }
}

/** A sentence for an error of any kind. @param {unknown} error */
export function reasonOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** A random key of 128 bits; works on plain HTTP too, unlike randomUUID. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {string} path @param {Record<string, any>} params */
function address(path, params) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (value !== null && value !== undefined && value !== "") {
      query.set(name, String(value));
    }
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}

/** @param {number} status @param {string} text */
function refusalOf(status, text) {
  try {
    return new Refused(status, JSON.parse(text));
  } catch {
    return new Refused(status, {
      detail: `The server answered with status ${status}.`,
    });
  }
}

export class Api {
  /** @param {string | null} token */
  constructor(token) {
    this.token = token;
  }

  /** @returns {Record<string, string>} */
  get headers() {
    return this.token ? { Authorization: `Bearer ${this.token}` } : {};
  }

  /** @param {string} path @param {Record<string, any>} [params] @returns {Promise<any>} */
  get(path, params = {}) {
    return this._call("GET", address(path, params));
  }

  /** @param {string} path @param {Record<string, any>} [body] @returns {Promise<any>} */
  post(path, body = {}) {
    return this._call("POST", path, body);
  }

  /** @param {string} path @returns {Promise<any>} */
  delete(path) {
    return this._call("DELETE", path);
  }

  /** @param {string} method @param {string} url @param {Record<string, any>} [body] */
  async _call(method, url, body) {
    const headers = this.headers;
    if (body) headers["Content-Type"] = "application/json";
    let response, text;
    try {
      response = await fetch(url, {
        method,
        headers,
        body: body && JSON.stringify(body),
        credentials: "omit",
        signal: AbortSignal.timeout(CALL_MILLISECONDS),
      });
      text = await response.text();
    } catch {
      throw new Unreachable();
    }
    if (!response.ok) throw refusalOf(response.status, text);
    return JSON.parse(text);
  }

  /** The bytes of a file. @param {string} fileId */
  async blob(fileId) {
    let response;
    try {
      response = await fetch(`/files/${fileId}`, {
        headers: this.headers,
        credentials: "omit",
      });
    } catch {
      throw new Unreachable();
    }
    if (!response.ok) throw refusalOf(response.status, await response.text());
    return response.blob();
  }

  /**
   * Upload a file; fetch reports no progress, so this is an XMLHttpRequest.
   * @param {string} chatId @param {File} file
   * @param {(share: number) => void} onProgress
   * @param {AbortSignal} signal
   * @returns {Promise<{ file_id: string }>}
   */
  upload(chatId, file, onProgress, signal) {
    const name = Array.from(file.name || "file")
      .slice(0, 255)
      .join("");
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("POST", address("/files", { chat_id: chatId, name }));
      request.setRequestHeader("Authorization", `Bearer ${this.token}`);
      request.upload.onprogress = (event) => onProgress(event.loaded / Math.max(1, event.total));
      request.onerror = () => reject(new Unreachable());
      request.onabort = () => reject(new Unreachable());
      request.onload = () => {
        if (request.status === 200) resolve(JSON.parse(request.responseText));
        else reject(refusalOf(request.status, request.responseText));
      };
      signal.addEventListener("abort", () => request.abort());
      request.send(file);
    });
  }
}
