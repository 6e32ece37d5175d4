// The name of a person or service, or of a team where one can stand as well; those that one may list are offered.
import { useInfiniteQuery } from "@tanstack/react-query";
import { useId } from "react";
import { useMay } from "@/access/may";
import { teamsQuery, usersQuery } from "@/api/queries";
import { Input } from "@/components/ui/input";

const MANY = 500;

export function PrincipalInput({
  value,
  onChange,
  teams: withTeams = false,
  required = true,
}: {
  value: string;
  onChange: (name: string) => void;
  teams?: boolean;
  required?: boolean;
}) {
  const may = useMay();
  const known = useId();
  const users = useInfiniteQuery({ ...usersQuery(MANY), enabled: may("users.list", "platform") }).data ?? [];
  const teams = useInfiniteQuery({ ...teamsQuery(MANY), enabled: withTeams && may("teams.list", "tenant") }).data ?? [];
  return (
    <>
      <Input value={value} required={required} list={known} autoCapitalize="none" autoComplete="off" spellCheck={false} onChange={(event) => onChange(event.target.value.trim())} />
      <datalist id={known}>
        {users.map((user) => (
          <option key={user.id} value={user.name}>
            {user.display_name}
          </option>
        ))}
        {teams.map((team) => (
          <option key={team.id} value={`team:${team.name}`}>
            {team.display_name}
          </option>
        ))}
      </datalist>
    </>
  );
}
