// Small things that several modules need.

import { say } from "./words.js";

export const base = document.body.dataset.base;

/** A copy of what a `<template>` holds. */
export const copyOf = id => document.getElementById(id).content.firstElementChild.cloneNode(true);

/** Tells who listens to the page instead of looking at it. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

/** Has the buttons of questions in `root` that keep things as they are close the question. */
export function keepable(root) {
  for (const button of root.querySelectorAll(".keep-it")) {
    button.onclick = () => {
      const question = button.closest("details");
      question.open = false;
      question.querySelector("summary").focus();
    };
  }
}

/** Copies a text for a button, where the browser allows it; else marks it in its field. */
export async function copyText(button, text, field) {
  try {
    await navigator.clipboard.writeText(text);
    const label = button.textContent;
    button.textContent = say("copied");
    setTimeout(() => button.textContent = label, 2000);
    announce(say("copied"));
  } catch {
    if (field?.select) field.select();
    else if (field) getSelection().selectAllChildren(field);
    announce(say("copy_by_hand"));
  }
}

/** Has a button pass a link on by what the device has for that; where it has nothing, the button stays away. */
export function passOn(button, title, url) {
  button.hidden = !navigator.share;
  // A person who closes the window of the device has changed their mind.
  button.onclick = () => navigator.share({ title, url }).catch(() => {});
}
