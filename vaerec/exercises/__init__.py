"""The exercises of each chapter as data: one YAML file a chapter, named like its notebook.

A file is a list. Every exercise has ``name``, ``kind`` (predict, code, pencil, look or decide),
``prompt``, ``hint`` and ``solution`` (Markdown), and ``check``, which says how an answer is judged:

choice
    ``options`` (texts), ``answer`` (one of them), ``wrong``: list of ``answer``, ``message``.
number
    ``answer`` (a Python expression over ``math`` and ``np``), ``tolerance`` (absolute), ``wrong``:
    list of ``answer`` (an expression), ``message``.
code
    ``stub``, ``answer`` (Python sources that define the function ``function``; ``np``, ``torch`` and
    ``math`` are there), ``cases``: list of ``call`` and ``expect`` (expressions; ``call`` uses the
    function) and ``tolerance``, ``wrong``: list of ``answer`` (source), ``message``.
text
    Judged by the reader: ``answer`` (Markdown), ``wrong``: list of ``answer`` (a claim that is
    often made), ``message``.

Tests prove that each answer passes its own check and that stub and wrong answers fail it.
"""
