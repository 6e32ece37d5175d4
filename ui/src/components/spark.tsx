/** A line of some recent values, for the eye; the exact number stands beside it. */
export function Spark({ values, label, width = 88, height = 22 }: { values: readonly (number | null)[]; label: string; width?: number; height?: number }) {
  const known = values.filter((value): value is number => value !== null);
  if (known.length < 2) return <span className="inline-block text-ink3" style={{ width }}>–</span>;
  const top = Math.max(...known, 1e-9);
  const step = width / (known.length - 1);
  const path = known.map((value, i) => `${(i * step).toFixed(1)} ${(height - 2 - (value / top) * (height - 5)).toFixed(1)}`).join(" L");
  return (
    <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label} className="overflow-visible">
      <path d={`M${path}`} fill="none" stroke="var(--run)" strokeWidth="1.5" strokeLinejoin="round" />
    </svg>
  );
}
