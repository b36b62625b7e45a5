"""The commands, by name.  ``turnout.bootstrap`` adds those that need the server's code."""

from __future__ import annotations

import typer

from turnout.cli.acting import abort, approve, pause, promote_now, reject, resume, retry
from turnout.cli.checking import doctor, version
from turnout.cli.deploying import deploy, plan
from turnout.cli.group import Commands
from turnout.cli.helping import Command
from turnout.cli.initing import init
from turnout.cli.looking import list_, releases, show, status, traffic
from turnout.cli.replaying import replay
from turnout.cli.rolling_back import rollback
from turnout.cli.routers import router
from turnout.cli.searching import Logs
from turnout.cli.streaming import events, logs

app = typer.Typer(
    name="turnout",
    cls=Commands,
    help="Moves live web traffic onto a new release without dropping a request, and back.",
    epilog="First `turnout up`, and leave it running; then, in a project, `turnout init` and "
    "`turnout deploy --to production`.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    # A pretty traceback shows local variables, and one of them may be a token.
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PANELS = {
    "Deploy": (init, deploy, plan, rollback),
    "Look": (status, list_, show, releases, traffic, events, replay),
    "Act on a deployment": (approve, reject, promote_now, pause, resume, abort, retry),
    "This machine": (doctor, version),
}

for _panel, _commands in _PANELS.items():
    for _command in _commands:
        _name = _command.__name__.rstrip("_").replace("_", "-")
        app.command(_name, cls=Command, rich_help_panel=_panel)(_command)
app.command("logs", cls=Logs, rich_help_panel="Look")(logs)
app.add_typer(router, name="router", rich_help_panel="This machine")
