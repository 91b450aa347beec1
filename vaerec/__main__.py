"""The command line: ``python -m vaerec fit | evaluate | recommend | shard``, each with ``--help``."""

from vaerec import commands


def main(arguments: list[str] | None = None) -> None:
    """Run one command; a wrong value ends it with one line instead of a traceback."""
    try:
        from jsonargparse import auto_cli
    except ImportError as error:
        raise SystemExit("the command line needs one more package: pip install "
                         "'jsonargparse[signatures]>=4.40'") from error
    try:
        auto_cli([commands.fit, commands.evaluate, commands.recommend, commands.shard], args=arguments,
                 as_positional=False, prog="python -m vaerec")
    except (ValueError, OSError, FloatingPointError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
