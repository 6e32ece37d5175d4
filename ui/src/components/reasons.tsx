// Why somebody may or may not: what decided, each in one sentence; a policy of one's own leads to its page.
import { Link } from "@tanstack/react-router";
import type { Reason } from "@/api/types";

const POLICY = "policy:";

export function Reasons({ because }: { because: readonly Reason[] }) {
  return because.map((reason, i) => {
    const text = i === 0 ? reason.sentence.charAt(0).toUpperCase() + reason.sentence.slice(1) : `; ${reason.sentence}`;
    if (!reason.policy.startsWith(POLICY)) return <span key={i}>{text}</span>;
    const [name = ""] = reason.policy.slice(POLICY.length).split("#");
    return (
      <Link key={i} to="/$plural/$name" params={{ plural: "policies", name }} search={{}} className="link">
        {text}
      </Link>
    );
  });
}
