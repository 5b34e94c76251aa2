"use strict";
(() => {
  // The canvas is painted with the scheme's colours: paint again when the scheme changes, and for paper.
  const repaint = () => {
    for (const view of Object.values(Bokeh.index.roots ?? Bokeh.index)) view.request_paint?.();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  matchMedia("print").addEventListener("change", repaint);

  // With a mouse, dragging zooms. With a finger it must scroll the page.
  const zoomByDragging = () => {
    for (const doc of Bokeh.documents) {
      for (const root of doc.roots()) {
        const zoom = root.toolbar.tools.find((tool) => tool.type === "BoxZoomTool");
        if (zoom) zoom.active = true;
      }
    }
  };
  // Bokeh embeds its documents some time after the page is there, and says so to nobody.
  const whenEmbedded = (act, tries) => {
    if (Bokeh.documents.length) act();
    else if (tries) setTimeout(() => whenEmbedded(act, tries - 1), 100);
  };
  if (matchMedia("(pointer: fine)").matches) whenEmbedded(zoomByDragging, 100);
})();
