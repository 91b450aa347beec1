"""Exercises that check themselves: offline, without an account, in any notebook.

>>> vr.exercises.show("04")                        # the exercises of chapter 4 and their names
>>> vr.exercises.check("04-kl", 1.0)               # right or not yet, and which mistake it looks like
>>> vr.exercises.hint("04-kl")
>>> vr.exercises.solution("04-kl")
>>> vr.exercises.predict("00-backward", 6)         # write a guess down before you run
>>> vr.exercises.reveal("00-backward", 12)         # the guess beside what came out
>>> vr.exercises.progress()                        # what is solved and what is left
>>> vr.exercises.export("results.json", name="Ada")    # for a lecturer, who calls ...
>>> vr.exercises.collect("results")                    # ... this on a folder of such files

The exercises are data: one YAML file a chapter, named like its notebook. A file is a list. Every
exercise has ``name``, ``kind`` (predict, code, pencil, look or decide), ``prompt``, ``hint`` and
``solution`` (Markdown), and ``check``, which says how an answer is judged:

choice
    ``options`` (texts), ``answer`` (one of them), ``wrong``: list of ``answer``, ``message``.
number
    ``answer`` (a Python expression over ``math`` and ``np``), ``tolerance`` (absolute), ``wrong``:
    list of ``answer`` (an expression), ``message``.
code
    ``stub``, ``answer`` (Python sources that define the function ``function``; ``np``, ``torch`` and
    ``math`` are there), ``cases``: list of ``call`` and ``expect`` (expressions; ``call`` uses the
    function), ``tolerance`` and, if the call alone does not say it, ``about`` (what must hold),
    ``wrong``: list of ``answer`` (source), ``message``.
text
    Judged by the reader: ``answer`` (Markdown), ``wrong``: list of ``answer`` (a claim that is
    often made), ``message``.

Tests prove that each answer passes its own check, and that the stub and each wrong answer fail it
with their own message.
"""

from vaerec.exercises.answers import progress
from vaerec.exercises.api import Result, Text, check, hint, predict, reveal, show, solution
from vaerec.exercises.results import collect, export

__all__ = ["Result", "Text", "check", "collect", "export", "hint", "predict", "progress", "reveal", "show",
           "solution"]
