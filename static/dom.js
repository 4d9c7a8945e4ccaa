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

/** Copies the text of a button's field, where the browser allows it; else marks it. */
export async function copyLink(button, text, field) {
  try {
    await navigator.clipboard.writeText(text);
    const label = button.textContent;
    button.textContent = say("copied");
    setTimeout(() => button.textContent = label, 2000);
    announce(say("copied"));
  } catch {
    field?.select();
    announce(say("copy_by_hand"));
  }
}
