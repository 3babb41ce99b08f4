// @ts-check
/** Logs, metrics and the mixed timeline: three screens of one family, each in a file of its own. */

/** @type {Record<string, () => Promise<{mount: (el: HTMLElement, state: import("../state.js").State) => {update: () => void, reload: () => void, unmount: () => void}}>>} */
const SCREENS = { logs: () => import("./logs.js"), metrics: () => import("./metrics.js"), timeline: () => import("./timeline.js") };

/** @param {HTMLElement} el @param {import("../state.js").State} state */
export function mount(el, state) {
  let kind = "";
  let turn = 0;
  /** @type {{update: () => void, reload: () => void, unmount: () => void}|null} */
  let screen = null;
  return {
    async update() {
      const wanted = state.route.params.kind;
      if (wanted === kind) return screen?.update();
      kind = wanted;
      const mine = (turn += 1);
      const { mount: mountIt } = await SCREENS[wanted]();
      if (mine !== turn) return undefined;
      screen?.unmount();
      el.replaceChildren();
      screen = mountIt(el, state);
      return screen.update();
    },
    reload: () => screen?.reload(),
    unmount() {
      turn += 1;
      screen?.unmount();
    },
  };
}
