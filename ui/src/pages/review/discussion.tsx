// What people say of a revision, or of a place in it.
import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useMayOn } from "@/access/may";
import { commentAdd } from "@/api/mutations";
import { commentsQuery } from "@/api/queries";
import type { KindInfo } from "@/api/types";
import { Field } from "@/components/field";
import { ListFrame } from "@/components/list-frame";
import { Panel } from "@/components/panel";
import { Empty, Failure } from "@/components/situation";
import { Ago } from "@/components/time";
import { Button } from "@/components/ui/button";
import { Input, Textarea } from "@/components/ui/input";

export function Discussion({ kind, name, number }: { kind: KindInfo; name: string; number: number }) {
  const mayDo = useMayOn(kind.plural, name);
  const query = useInfiniteQuery(commentsQuery(kind.plural, name, number));
  return (
    <Panel title="Discussion" aside="oldest first">
      <ListFrame query={query} what="the comments" noun="comment" empty={<Empty title="Nothing was said yet">{mayDo("comment") ? "A comment may name the place in the spec that it is about." : null}</Empty>}>
        {(comments) => (
          <ul>
            {comments.map((comment) => (
              <li key={comment.id} className="border-t px-3.5 py-2.5 first:border-t-0">
                <div className="flex flex-wrap items-baseline gap-x-2.5">
                  <b className="font-[560]">{comment.author}</b>
                  {comment.pointer ? <code className="mono break-all text-ink2">{comment.pointer}</code> : null}
                  <Ago at={comment.created_at} className="ml-auto text-xs text-ink3" />
                </div>
                <p className="break-words whitespace-pre-wrap">{comment.body}</p>
              </li>
            ))}
          </ul>
        )}
      </ListFrame>
      {mayDo("comment") ? <CommentForm plural={kind.plural} name={name} number={number} /> : null}
    </Panel>
  );
}

function CommentForm({ plural, name, number }: { plural: string; name: string; number: number }) {
  const client = useQueryClient();
  const [body, setBody] = useState("");
  const [pointer, setPointer] = useState("");
  const add = useMutation({
    mutationFn: () => commentAdd(plural, name, number, body.trim(), pointer.trim() || null),
    onSuccess: () => {
      setBody("");
      setPointer("");
      void client.invalidateQueries({ queryKey: ["comments", plural, name, number] });
    },
  });
  return (
    <form
      className="space-y-3 border-t px-3.5 py-3"
      onSubmit={(event) => {
        event.preventDefault();
        if (body.trim() && !add.isPending) add.mutate();
      }}
    >
      <Field label="Comment">
        <Textarea value={body} maxLength={10_000} rows={3} onChange={(event) => setBody(event.target.value)} />
      </Field>
      <Field label="About" hint="a place in the spec, as /stages/0/uses; the whole without">
        <Input value={pointer} spellCheck={false} autoComplete="off" className="font-mono text-xs" onChange={(event) => setPointer(event.target.value)} />
      </Field>
      {add.isError ? <Failure what="The comment was not kept" error={add.error} className="rounded-md border" /> : null}
      <Button type="submit" disabled={!body.trim() || add.isPending}>
        {add.isPending ? "Sending…" : "Comment"}
      </Button>
    </form>
  );
}
