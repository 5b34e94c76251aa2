"use strict";
(() => {
  const views = () => Object.values(Bokeh.index.roots ?? Bokeh.index);
  // The canvas is painted with the scheme's colours, so it is painted again when the scheme changes, and for paper.
  const repaint = () => { for (const view of views()) view.invalidate_paint?.() ?? view.request_paint?.(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  matchMedia("print").addEventListener("change", repaint);
  // With a mouse, dragging zooms. With a finger it must scroll the page.
  if (matchMedia("(pointer: fine)").matches) {
    for (const doc of Bokeh.documents) {
      for (const root of doc.roots()) {
        const zoom = root.toolbar.tools.find((tool) => tool.type === "BoxZoomTool");
        if (zoom) zoom.active = true;
      }
    }
  }
})();
