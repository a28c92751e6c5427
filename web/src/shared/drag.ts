/** Places that a pointer drags something to, for drawings that the arrow keys move too. */

import type { Attachment } from "svelte/attachments";

/**
 * Calls back with the events of a pointer from its press to its release. A finger may be about to scroll the page, of which the
 * browser takes note at its first move, by a cancel: press and first move of a finger do nothing yet.
 */
export function draggable(onmove: (event: PointerEvent) => void): Attachment<Element> {
  return (element) => {
    let pointer: number | undefined;
    let undecided = false;
    const listeners: Readonly<Record<string, (event: PointerEvent) => void>> = {
      pointerdown(event) {
        if (!event.isPrimary || event.button !== 0) return;
        pointer = event.pointerId;
        element.setPointerCapture(pointer);
        undecided = event.pointerType === "touch";
        if (!undecided) onmove(event);
      },
      pointermove(event) {
        if (event.pointerId !== pointer) return;
        if (!undecided) onmove(event);
        undecided = false;
      },
      pointerup(event) {
        if (event.pointerId === pointer) onmove(event);
        pointer = undefined;
      },
      pointercancel() {
        pointer = undefined;
      },
    };
    const all = Object.entries(listeners) as [string, EventListener][];
    for (const [name, listener] of all) element.addEventListener(name, listener);
    return () => {
      for (const [name, listener] of all) element.removeEventListener(name, listener);
    };
  };
}
