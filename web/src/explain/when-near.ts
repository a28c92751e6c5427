/** When to begin what costs time: not before somebody is about to look. */

/** How far from what is in sight, in heights of the window: time enough to compute while a reader scrolls. */
const MARGIN = "100%";

/**
 * Calls back once, when an element comes near what is in sight, however it does: by scrolling, a link to it, or the focus. A page
 * that is to be printed is in sight as a whole. Returns what gives up waiting.
 */
export function whenNear(element: Element, callback: () => void): () => void {
  const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && begin(), {
    rootMargin: `${MARGIN} 0px`,
  });
  function stop() {
    observer.disconnect();
    removeEventListener("beforeprint", begin);
  }
  function begin() {
    stop();
    callback();
  }
  observer.observe(element);
  addEventListener("beforeprint", begin);
  return stop;
}
