// The page works without this script. It reads a file that is chosen or
// dropped, and sends in its header section alone: the text of a message stays
// with its reader.
"use strict";

const message = document.getElementById("message");
const file = document.getElementById("file");
const note = document.getElementById("note");
const maxHeader = 1 << 20;

function headerOf(text) {
  const start = text.search(/\S/);
  const end = text.slice(start).search(/\r?\n\r?\n/);
  return end < 0 ? text : text.slice(0, start + end) + "\n";
}

function say(text) {
  note.hidden = false;
  note.textContent = text;
}

async function take(chosen) {
  try {
    // Bytes, one a character, would lose raw 8-bit ids; UTF-8 keeps nearly
    // all, and what is not UTF-8 goes as a file instead.
    const bytes = await chosen.slice(0, maxHeader).arrayBuffer();
    message.value = headerOf(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    file.value = "";
    say("The header section of " + chosen.name + " was read. Nothing is sent until you press Check.");
    message.focus();
  } catch {
    message.value = "";
    const list = new DataTransfer();
    list.items.add(chosen);
    file.files = list.files;
    say(chosen.name + " will be sent as it is when you press Check.");
  }
}

file.addEventListener("change", () => {
  if (file.files.length > 0) take(file.files[0]);
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
  else if (text) {
    message.value = headerOf(text);
    say("The dropped text's header section was read. Nothing is sent until you press Check.");
  }
});
