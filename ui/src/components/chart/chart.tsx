// One line over time, drawn by uPlot on a canvas. Its colours are read from the page, and read again when the
// theme changes.
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import type { Zone } from "@/lib/format";
import { clock } from "@/lib/format";

export interface ChartProps {
  label: string;
  /** Seconds since 1970. */
  times: readonly number[];
  values: readonly (number | null)[];
  format: (value: number) => string;
  tone: "run" | "warn";
  dark: boolean;
  zone: Zone;
  /** Charts with the same key share their cursor. */
  sync: string;
  height?: number;
}

export default function Chart({ label, times, values, format, tone, dark, zone, sync, height = 112 }: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const formatter = useRef(format);
  const data = useRef<uPlot.AlignedData>([[], []]);
  useEffect(() => {
    formatter.current = format;
    data.current = [times as number[], values as (number | null)[]];
    plot.current?.setData(data.current);
  }, [format, times, values]);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const stroke = colour(tone === "warn" ? "--warn" : "--run");
    const axis = {
      stroke: colour("--ink3"),
      font: '11px "Inter", sans-serif',
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    const made = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        cursor: { sync: { key: sync }, points: { size: 6 }, y: false, drag: { x: false, y: false } },
        legend: { show: false },
        padding: [8, 28, 0, 0],
        scales: { x: { time: true }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.12 : 1] } },
        axes: [
          { ...axis, size: 22, space: 70, values: (_, splits) => splits.map((at) => clock(at * 1000, zone)) },
          { ...axis, size: 42, space: 28, values: (_, splits) => splits.map((value) => (Number.isInteger(value) ? String(value) : formatter.current(value))) },
        ],
        series: [{}, { label, stroke, width: 1.5, fill: `${stroke}1a`, points: { show: false }, spanGaps: true }],
      },
      data.current,
      element,
    );
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [label, tone, dark, zone, sync, height]);

  return <div ref={host} role="img" aria-label={label} className="min-w-0" />;
}
