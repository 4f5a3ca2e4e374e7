"use strict";
// A page whose session lies in two cookies. No token is ever seen here: a script can't read them.

const element = (id) => document.getElementById(id);

// --- What to take into a page of your own -------------------------------------------------------

// The access token has expired, or was revoked or its key withdrawn, while its session may live on.
// Only a refresh tells.
const WORTH_A_REFRESH = ["access_token_expired", "access_token_revoked", "access_token_invalid"];
let refreshing = null; // One refresh, shared by all requests that are refused at the same moment.
let refreshes = 0; // How many have been answered, for requests that are refused a moment later.

async function request(method, path, body) {
  const before = refreshes;
  let answer = await send(method, path, body);
  if (answer.status === 401 && WORTH_A_REFRESH.includes(answer.data?.code)) {
    if (refreshes === before) await refresh();
    // Whatever came of it: another tab may have logged in meanwhile.
    answer = await send(method, path, body);
  }
  return answer;
}

function refresh() {
  refreshing ??= send("POST", "/session/refresh").finally(() => {
    refreshing = null;
    refreshes++;
  });
  return refreshing;
}

async function send(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  const isJson = (answer.headers.get("Content-Type") ?? "").includes("json");
  const data = isJson ? JSON.parse(text) : null;
  note(`${method} ${path}`, answer.status, data?.code);
  return { ok: answer.ok, status: answer.status, data };
}

// --- The page -----------------------------------------------------------------------------------

let socket = null;

async function show() {
  const me = await request("GET", "/me");
  if (!me.ok) return showLogin(me.status === 401 ? "" : me.data?.detail ?? "The server is not there.");
  const { sub, sid, exp, scope } = me.data;
  element("name").textContent = sub;
  element("scope").textContent = scope || "none";
  element("session").textContent = sid;
  element("ends").textContent = new Date(exp * 1000).toLocaleTimeString();
  element("login").hidden = true;
  element("home").hidden = false;
  await showDevices();
  if (!socket) openSocket();
}

function showLogin(notice) {
  // Nothing of the last user stays, neither on the page nor behind the back button.
  for (const id of ["name", "scope", "session", "ends", "devices", "messages", "requests"]) {
    element(id).replaceChildren();
  }
  element("home").hidden = true;
  element("login").hidden = false;
  say(notice);
  socket?.close();
  socket = null;
}

async function showDevices() {
  const sessions = await request("GET", "/session/sessions");
  if (!sessions.ok) return;
  element("devices").replaceChildren(...sessions.data.map(({ id, current, device, ip, last_used_at }) => {
    const used = `${ip ?? "unknown address"} · used ${new Date(last_used_at * 1000).toLocaleString()}`;
    const text = make("div", "", make("strong", "", device?.name ?? "Unknown device"), make("div", "quiet", used));
    const end = make("button", "danger", "End");
    if (current) text.firstChild.after(" ", make("span", "badge good", "this one"));
    end.setAttribute("aria-label", `End the session on ${device?.name ?? "an unknown device"}`);
    end.onclick = () => act("DELETE", `/session/sessions/${id}`);
    return make("li", "device", text, end);
  }));
}

function openSocket() {
  const address = new URL("/messages", location.href);
  address.protocol = address.protocol.replace("http", "ws");
  const opened = socket = new WebSocket(address);
  opened.onopen = () => showSocket("open", "good");
  opened.onmessage = ({ data }) => line("messages", data);
  opened.onclose = ({ code }) => {
    if (opened !== socket) return;
    socket = null;
    showSocket(`closed with ${code}`, "bad");
    // 4401: the session has ended, or this access token has. Who asks finds out which.
    if (code === 4401) show().then(() => element("home").hidden && say("This session has ended: the web socket was closed with 4401."));
  };
}

async function act(method, path) {
  const answer = await request(method, path);
  say(answer.ok ? "" : answer.data?.detail ?? `Refused with ${answer.status}.`);
  await show();
}

document.querySelector("#login form").onsubmit = async (event) => {
  event.preventDefault();
  const answer = await send("POST", "/login", Object.fromEntries(new FormData(event.target)));
  if (answer.ok) { say(""); await show(); } else say("This is not the password.");
};
element("talk").onsubmit = (event) => {
  event.preventDefault();
  socket?.send(element("message").value);
  event.target.reset();
};
element("who").onclick = show;
element("refresh").onclick = () => act("POST", "/session/refresh");
element("logout").onclick = () => act("POST", "/session/logout");
element("others").onclick = () => act("POST", "/session/logout/others");
element("everywhere").onclick = () => act("POST", "/session/logout/everywhere");
element("admin").onclick = async () => {
  const answer = await request("GET", "/admin");
  say(answer.ok ? "You are an administrator." : answer.data?.detail);
};
addEventListener("pageshow", show);
addEventListener("pagehide", () => showLogin(""));

function make(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

function showSocket(text, kind) {
  element("socket").textContent = text;
  element("socket").className = `badge ${kind}`;
}

function line(id, text, kind = "") {
  element(id).prepend(make("div", kind, text));
}

function note(what, status, code) {
  line("requests", `${status} ${what}${code ? ` · ${code}` : ""}`, status < 400 ? "good" : "bad");
}

function say(text) {
  element("notice").textContent = text;
}
