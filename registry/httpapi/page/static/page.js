// The page works without this script. It reads a file that is chosen or
// dropped, and sends only header sections: the text of a message stays with
// its reader.
"use strict";

const form = document.getElementById("check-form");
const message = document.getElementById("message");
const file = document.getElementById("file");
const note = document.getElementById("note");
const maxRead = 1 << 20; // of a file
const maxSent = 60000; // the server takes 64 KiB

// What follows finds the messages of a mailbox by the rule of the package
// hashheader/mailbox, with which a test holds it together. Strings are of
// bytes here, since Content-Length counts bytes.

const isField = (line) => /^[!-9;-~]+[ \t]*:/.test(line);
const isFromLine = (line) => !isField(line) && /^>?From /.test(line);
const isBare = (line) => /^From -?\s*$/.test(line);
const isEmpty = (line) => /^\r*\n?$/.test(line);

const strong = new Set(("message-id received return-path delivered-to mime-version content-type x-mozilla-status x-gm-thrid " +
  "list-id list-post in-reply-to references").split(" "));
const weak = new Set("from sender reply-to to cc bcc subject date".split(" "));

function hasDate(line) {
  const time = /\d:\d\d(.*)/s.exec(line);
  return time !== null && /(^|\D)\d{4}(\D|$)/.test(time[1]);
}

function lineAt(text, pos) {
  const end = text.indexOf("\n", pos);
  return text.slice(pos, end < 0 ? text.length : end + 1);
}

// section returns where the header section at a position ends, and its fields.
function section(text, pos) {
  const fields = [];
  for (;;) {
    const line = lineAt(text, pos);
    if (isField(line)) fields.push(line);
    else if (fields.length > 0 && /^[ \t]/.test(line)) fields[fields.length - 1] += line;
    else if (line === "" || fields.length > 0 || !(isFromLine(line) || /^[ \t\r]*\n?$/.test(line))) return { end: pos, fields };
    pos += line.length;
  }
}

const nameOf = (field) => field.slice(0, field.indexOf(":")).trim().toLowerCase();

// begins returns the size of the From_ lines at a position, if they begin a
// message, and else 0.
function begins(text, pos, start, behindEmpty) {
  const line = lineAt(text, pos);
  if (!line.startsWith("From ") || !line.endsWith("\n") || isField(line)) return 0;
  const dated = hasDate(line);
  if (!start && !behindEmpty && !dated && !isBare(line)) return 0;
  let at = pos + line.length;
  while (isFromLine(lineAt(text, at))) at += lineAt(text, at).length;
  if (!isField(lineAt(text, at))) return 0;
  if (start || dated) return at - pos;
  const weights = section(text, at).fields.map(nameOf).map((name) => strong.has(name) ? 2 : weak.has(name) ? 1 : 0);
  return weights.reduce((a, b) => a + b, 0) >= 2 ? at - pos : 0;
}

// bodyEnd returns where the body of the message at a position ends by its
// Content-Length, -1 where that leads to no From_ line and not to the end.
function bodyEnd(text, pos) {
  const { end, fields } = section(text, pos);
  const field = fields.find((f) => nameOf(f) === "content-length");
  const value = field === undefined ? "" : field.slice(field.indexOf(":") + 1).trim();
  if (!/^\d+$/.test(value)) return -1;
  const empty = lineAt(text, end);
  const to = end + (isEmpty(empty) ? empty.length : 0) + Number(value);
  const rest = text.slice(to, to + 7).replace(/^\r?\n?/, "");
  return to <= text.length && (rest === "" || rest.startsWith("From ")) ? to : -1;
}

// messagesOf returns where the messages of a text begin.
function messagesOf(text) {
  let pos = /^(\xef\xbb\xbf)?[\r\n]*/.exec(text)[0].length;
  if (begins(text, pos, true, false) === 0) return [0];
  const starts = [];
  let lengths; // whether Content-Length counts: the first message decides
  for (let behindEmpty = true; pos < text.length;) {
    const size = begins(text, pos, starts.length === 0, behindEmpty);
    if (size > 0) {
      starts.push(pos);
      const end = lengths === false ? -1 : bodyEnd(text, pos);
      if (lengths === undefined) lengths = end >= 0;
      if (end >= 0) {
        pos = end + /^\r?\n?/.exec(text.slice(end, end + 2))[0].length;
        behindEmpty = true;
        continue;
      }
    }
    const line = lineAt(text, pos);
    behindEmpty = size === 0 && isEmpty(line);
    pos += size > 0 ? size : line.length;
  }
  return starts;
}

function bytesOf(text) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return bytes;
}

const textOf = (bytes) => new TextDecoder().decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));

// headerOf returns the header section at a position. A text without one is
// sent up to its first empty line, for the server to say so.
function headerOf(bytes, pos) {
  const { end, fields } = section(bytes, pos);
  const empty = bytes.slice(pos).search(/\r?\n\r?\n/);
  return textOf(bytes.slice(pos, fields.length > 0 ? end : empty < 0 ? bytes.length : pos + empty)).trimEnd() + "\n";
}

// headersOf returns the header sections of a message, or of the messages of a
// mailbox, as many as may be sent.
function headersOf(text) {
  const bytes = bytesOf(text.trimStart());
  const headers = [];
  let size = 0;
  for (const header of messagesOf(bytes).map((pos) => headerOf(bytes, pos))) {
    size += new Blob([header]).size + 1;
    if (headers.length > 0 && size > maxSent) break;
    headers.push(header);
  }
  return headers;
}

function say(text) {
  note.hidden = false;
  note.textContent = text;
}

function show(text, what) {
  const headers = headersOf(text);
  message.value = headers.join("\n");
  file.value = "";
  const read = headers.length === 1 ? "The header section of " + what + " was read." : "The header sections of " + headers.length + " messages in " + what + " were read.";
  say(read + " Nothing is sent until you press Check.");
  message.focus();
  message.setSelectionRange(0, 0);
  message.scrollTop = 0;
}

async function take(chosen) {
  const bytes = await chosen.slice(0, maxRead).arrayBuffer();
  try {
    // A text of raw 8-bit ids that is not UTF-8 would lose them here, and goes
    // as a file instead.
    show(new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: true }), chosen.name);
  } catch {
    message.value = "";
    const list = new DataTransfer();
    list.items.add(new File([bytes.slice(0, maxSent)], chosen.name));
    file.files = list.files;
    say(chosen.name + " will be sent as it is when you press Check.");
  }
}

file.addEventListener("change", () => {
  if (file.files.length > 0) take(file.files[0]);
});

form.addEventListener("submit", () => {
  if (message.value !== "") message.value = headersOf(message.value).join("\n");
});

document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
});

document.addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping");
});

document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  const dropped = event.dataTransfer.files[0];
  const text = event.dataTransfer.getData("text/plain");
  if (dropped) take(dropped);
  else if (text) show(text, "the dropped text");
});
