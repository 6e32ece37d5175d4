export function Brand({ className }: { className?: string }) {
  return (
    <span className={className}>
      <span className="inline-flex items-center gap-2 text-[14px] font-[650] tracking-[-0.01em]">
        <svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth="1.7" aria-hidden className="text-accent">
          <circle cx="10" cy="10" r="6.2" />
          <circle cx="10" cy="10" r="1.6" fill="currentColor" />
          <path d="M10 .8v5M10 14.2v5M.8 10h5M14.2 10h5M3.5 3.5l3.5 3.5M13 13l3.5 3.5M16.5 3.5 13 7M7 13l-3.5 3.5" />
        </svg>
        Quarterdeck
      </span>
    </span>
  );
}
