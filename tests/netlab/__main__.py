"""`scripts/netlab`: what Pinhole does on a network of its own, measured."""

import typer
from netlab.matrix_command import matrix
from netlab.recovery_command import recovery

app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command()(matrix)
app.command()(recovery)


@app.callback(invoke_without_command=True)
def main(context: typer.Context) -> None:
    """Run Pinhole between real NATs, with Chromium as the viewer; without a command, the matrix."""
    if context.invoked_subcommand is None:
        app(["matrix"])


if __name__ == "__main__":
    app(prog_name="scripts/netlab")
