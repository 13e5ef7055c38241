// The portal's HTTP routes. Every answer is an object; `problem` is what went wrong, in words, or null.

import { confirmAgain } from "./confirm.js";

export async function get(path) {
  return ask(path, { cache: "no-store" });
}

/** Asks for the password again where the portal wants it, and then sends the same once more. */
export async function post(path, body = {}) {
  const answer = await send(path, body);
  return answer.code === "confirm-first" && (await confirmAgain()) ? send(path, body) : answer;
}

export async function send(path, body) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => null);
  if (!answer) return { status: 0, code: "portal-away", problem: "The portal cannot be reached. Check your connection and try again." };
  const data = await answer.json().catch(() => ({}));
  if (answer.ok) return { ...data, status: answer.status, problem: null };
  return { status: answer.status, code: data.code ?? "", problem: wordsFor(answer, data) };
}

function wordsFor(answer, { code, message }) {
  if (answer.status === 429) return `Too many attempts. Wait ${answer.headers.get("Retry-After")} s, then try again.`;
  if (code === "signed-out") return "You are signed out. Load the page again.";
  return message ?? `The portal refused (${answer.status}). Try again.`;
}

/** Path segments are names that people choose. */
export const segment = encodeURIComponent;
