"""`python -m qd_runner describe|check|run|job`: arguments in, exit code out; the work is in the modules named so."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import sys
from pathlib import Path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qd_runner")
    commands = parser.add_subparsers(dest="command", required=True)
    describe = commands.add_parser("describe", help="what stage classes and callables look like, as JSON")
    describe.add_argument("--code", action="append", default=[], help="folder to import from (repeatable)")
    describe.add_argument("--classes", default="", help="a.b:Class,c:Class")
    describe.add_argument("--callables", default="", help="a.b:function,…")
    check = commands.add_parser("check", help="instantiate everything a run file names; report all violations")
    check.add_argument("--spec", required=True, type=Path)
    run = commands.add_parser("run", help="execute a run file")
    run.add_argument("--spec", required=True, type=Path)
    run.add_argument("--attempt", type=int, default=1)
    run.add_argument("--dir", required=True, type=Path, help="the attempt's folder: socket, spool, token")
    run.add_argument("--cluster", action="store_true", help="on the Ray of the job that this is, not one of its own")
    job = commands.add_parser("job", help="the entrypoint of a Ray job: execute a run file on the cluster")
    job.add_argument("--spec", required=True, type=Path)
    job.add_argument("--attempt", type=int, default=1)
    job.add_argument("--mark", required=True, help="names the job; stands before each record in its log")
    return parser


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    sys.dont_write_bytecode = True  # the pipeline's code lies in content-addressed folders
    # Imported late: `describe` must not pay for what only `run` needs.
    if args.command == "describe":
        from qd_runner.describe import main as describe_main

        return describe_main(args.code, args.classes, args.callables)
    if args.command == "check":
        from qd_runner.check import main as check_main

        return check_main(args.spec)
    if args.command == "job":
        from qd_runner import job

        missing = [name for name in ("ray", "cosmos_xenna") if importlib.util.find_spec(name) is None]
        if missing:
            return job.missing_tell(args.mark, " and no ".join(missing))
        return job.main(args.spec, args.attempt, args.mark)
    from qd_runner.run import main as run_main

    return run_main(args.spec, args.attempt, args.dir, cluster=args.cluster)


def _end(code: int) -> None:
    """Ends the process here: threads and exit handlers of code that was imported could hold it up, or print on."""
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _end(main())
