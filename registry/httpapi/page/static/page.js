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

function headerOf(text) {
  const end = text.search(/\r?\n\r?\n/);
  return (end < 0 ? text : text.slice(0, end)) + "\n";
}

// headersOf returns the header sections of a message, or of the messages of a
// mailbox, as many as may be sent.
function headersOf(text) {
  text = text.trimStart();
  const messages = text.startsWith("From ") ? text.split(/\r?\n\r?\n(?=From )/) : [text];
  const headers = [];
  let size = 0;
  for (const header of messages.map(headerOf)) {
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
