/** What is drawn on a chart's canvas besides the lines that uPlot draws: bands, values before smoothing, and marks. */

import uPlot from "uplot";
import { colour, translucent } from "./colours.svelte.ts";
import type { Line, Plot, YAxis } from "./plot.ts";

const MARK_FONT = 11;

/** Bands of the least and greatest, and values before they were smoothed. */
export function drawBehind(u: uPlot, lines: readonly Line[], y: YAxis): void {
  const height = (value: number) => u.valToPos(y.log ? Math.max(value, y.domain[0]) : value, "y", true);
  inArea(u, (canvas) => {
    for (const line of lines) {
      const xs = line.x.map((at) => u.valToPos(at, "x", true));
      if (line.low && line.high) fillBand(canvas, xs, line.low.map(height), line.high.map(height), colour(line.colour));
      if (line.raw) {
        canvas.strokeStyle = translucent(colour(line.colour), 0.25);
        canvas.lineWidth = uPlot.pxRatio;
        canvas.beginPath();
        line.raw.forEach((value, i) => {
          canvas.lineTo(xs[i]!, height(value));
        });
        canvas.stroke();
      }
    }
  });
}

function fillBand(
  canvas: CanvasRenderingContext2D,
  xs: readonly number[],
  low: readonly number[],
  high: readonly number[],
  fill: string,
): void {
  canvas.fillStyle = translucent(fill, 0.15);
  canvas.beginPath();
  for (let i = 0; i < xs.length; i++) canvas.lineTo(xs[i]!, high[i]!);
  for (let i = xs.length - 1; i >= 0; i--) canvas.lineTo(xs[i]!, low[i]!);
  canvas.fill();
}

/** A dashed line at each mark, with its label at the top. */
export function drawMarks(u: uPlot, { marks, from, to }: Plot): void {
  const { pxRatio } = uPlot;
  inArea(u, (canvas) => {
    canvas.strokeStyle = colour("--warning");
    canvas.fillStyle = canvas.strokeStyle;
    canvas.lineWidth = pxRatio;
    canvas.font = `600 ${MARK_FONT * pxRatio}px ${getComputedStyle(u.root).fontFamily}`;
    canvas.setLineDash([3 * pxRatio, 3 * pxRatio]);
    for (const { at, label } of marks) {
      if (at < from || at > to) continue;
      const x = Math.round(u.valToPos(at, "x", true));
      canvas.beginPath();
      canvas.moveTo(x, u.bbox.top);
      canvas.lineTo(x, u.bbox.top + u.bbox.height);
      canvas.stroke();
      const atRightEdge = x > u.bbox.left + u.bbox.width - 24 * pxRatio;
      canvas.textAlign = atRightEdge ? "right" : "left";
      canvas.fillText(label, x + (atRightEdge ? -4 : 4) * pxRatio, u.bbox.top + MARK_FONT * pxRatio);
    }
  });
}

function inArea(u: uPlot, draw: (canvas: CanvasRenderingContext2D) => void): void {
  const { left, top, width, height } = u.bbox;
  u.ctx.save();
  u.ctx.beginPath();
  u.ctx.rect(left, top, width, height);
  u.ctx.clip();
  draw(u.ctx);
  u.ctx.restore();
}
