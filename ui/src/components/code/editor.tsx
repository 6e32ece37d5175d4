// CodeMirror as one component: view or edit YAML and JSON, with markers where something is wrong.
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import { yaml } from "@codemirror/lang-yaml";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { useEffect, useRef } from "react";
import { cn } from "@/lib/cn";
import { codeTheme } from "./theme";
import type { Marker } from "./yaml";

export interface CodeEditorProps {
  value: string;
  label: string;
  language?: "yaml" | "json";
  onChange?: (value: string) => void;
  onSave?: () => void;
  markers?: readonly Marker[];
  className?: string;
}

const setLines = StateEffect.define<number[]>();
const violationLines = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(lines, transaction) {
    let next = lines.map(transaction.changes);
    for (const effect of transaction.effects) {
      if (!effect.is(setLines)) continue;
      const starts = [...new Set(effect.value.map((at) => transaction.state.doc.lineAt(at).from))].sort((a, b) => a - b);
      next = Decoration.set(starts.map((from) => Decoration.line({ class: "cm-violation-line" }).range(from)));
    }
    return next;
  },
  provide: (field) => EditorView.decorations.from(field),
});

export default function CodeEditor({ value, label, language = "yaml", onChange, onSave, markers, className }: CodeEditorProps) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const handlers = useRef({ onChange, onSave });
  useEffect(() => {
    handlers.current = { onChange, onSave };
  });
  const editable = Boolean(onChange);

  useEffect(() => {
    if (!host.current) return;
    const made = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: value,
        extensions: [
          lineNumbers(),
          foldGutter({ openText: "⌄", closedText: "›" }),
          bracketMatching(),
          drawSelection(),
          highlightSelectionMatches(),
          search({ top: true }),
          language === "json" ? json() : yaml(),
          codeTheme,
          violationLines,
          EditorView.contentAttributes.of({ "aria-label": label }),
          editable
            ? [
                history(),
                indentOnInput(),
                highlightActiveLine(),
                highlightActiveLineGutter(),
                lintGutter(),
                EditorState.tabSize.of(2),
                EditorView.updateListener.of((update) => {
                  if (update.docChanged) handlers.current.onChange?.(update.state.doc.toString());
                }),
              ]
            : [EditorState.readOnly.of(true), EditorView.lineWrapping],
          keymap.of([
            {
              key: "Mod-s",
              preventDefault: true,
              run: () => {
                handlers.current.onSave?.();
                return true;
              },
            },
            // Escape leaves the editor, so that Tab is not a trap for the keyboard.
            { key: "Escape", run: (each) => (each.contentDOM.blur(), false) },
            ...searchKeymap,
            ...(editable ? [indentWithTab] : []),
            ...defaultKeymap,
            ...historyKeymap,
            ...foldKeymap,
          ]),
        ],
      }),
    });
    view.current = made;
    return () => {
      made.destroy();
      view.current = null;
    };
    // The text is written below, when it differs; a new view for each value would lose the cursor.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [language, label, editable]);

  useEffect(() => {
    const current = view.current;
    if (current && current.state.doc.toString() !== value) {
      current.dispatch({ changes: { from: 0, to: current.state.doc.length, insert: value } });
    }
  }, [value]);

  useEffect(() => {
    const current = view.current;
    if (!current) return;
    const length = current.state.doc.length;
    const diagnostics: Diagnostic[] = (markers ?? []).map(({ from, to, message }) => ({
      from: Math.min(from, length),
      to: Math.min(to, length),
      message,
      severity: "error",
    }));
    current.dispatch(setDiagnostics(current.state, diagnostics), {
      effects: setLines.of(diagnostics.map((each) => each.from)),
    });
  }, [markers, value]);

  return <div ref={host} className={cn("min-h-0 overflow-auto", className)} />;
}
