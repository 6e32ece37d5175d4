// The way to the review of a revision, which may be in another project of the tenant.
import { useSuspenseQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { meQuery } from "@/api/queries";
import { segment } from "@/api/client";
import { prefixOf } from "@/api/scope";

export function ReviewLink({ plural, name, number, project }: { plural: string | null; name: string; number: number; project: string }) {
  const me = useSuspenseQuery(meQuery).data;
  const words = `${name} r${number}`;
  if (!plural) return <b className="font-[540]">{words}</b>;
  if (project === me.project.name) {
    return (
      <Link to="/$plural/$name/review/$number" params={{ plural, name, number: String(number) }} className="link font-[540]">
        {words}
      </Link>
    );
  }
  // Another project is another console: its address loads anew.
  return (
    <>
      <a href={`${prefixOf({ tenant: me.tenant.name, project })}/${segment(plural)}/${segment(name)}/review/${number}`} className="link font-[540]">
        {words}
      </a>{" "}
      <span className="text-ink3">in {project}</span>
    </>
  );
}
