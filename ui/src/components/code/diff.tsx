// Two texts side by side, unchanged stretches folded; one below the other in a narrow place.
import { yaml } from "@codemirror/lang-yaml";
import { MergeView, unifiedMergeView } from "@codemirror/merge";
import { EditorState } from "@codemirror/state";
import { EditorView, lineNumbers } from "@codemirror/view";
import { useEffect, useRef, useState } from "react";
import { codeTheme } from "./theme";

const NARROW = 640;

export default function TextDiff({ before, after, labels }: { before: string; after: string; labels: [string, string] }) {
  const host = useRef<HTMLDivElement>(null);
  const [narrow, setNarrow] = useState(() => window.innerWidth < NARROW);
  const [left, right] = labels;

  useEffect(() => {
    const onResize = () => setNarrow(window.innerWidth < NARROW);
    window.addEventListener("resize", onResize);
    return () => window.removeEventListener("resize", onResize);
  }, []);

  useEffect(() => {
    if (!host.current) return;
    const common = [lineNumbers(), yaml(), codeTheme, EditorState.readOnly.of(true), EditorView.lineWrapping];
    const labelled = (label: string) => EditorView.contentAttributes.of({ "aria-label": label });
    const collapse = { margin: 4, minSize: 8 };
    if (narrow) {
      const view = new EditorView({
        parent: host.current,
        doc: after,
        extensions: [
          ...common,
          labelled(`${left} to ${right}`),
          unifiedMergeView({ original: before, mergeControls: false, collapseUnchanged: collapse }),
        ],
      });
      return () => view.destroy();
    }
    const view = new MergeView({
      parent: host.current,
      a: { doc: before, extensions: [...common, labelled(left)] },
      b: { doc: after, extensions: [...common, labelled(right)] },
      collapseUnchanged: collapse,
      gutter: false,
    });
    return () => view.destroy();
  }, [before, after, left, right, narrow]);

  return (
    <div>
      <div className="grid border-b text-xs text-ink3 max-sm:hidden sm:grid-cols-2">
        <div className="border-r px-3.5 py-1.5">{left}</div>
        <div className="px-3.5 py-1.5">{right}</div>
      </div>
      <div ref={host} data-testid="text-diff" className="max-h-[70vh] overflow-auto" />
    </div>
  );
}
