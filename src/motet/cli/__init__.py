"""The command line: one short file per group of commands, with no logic of its own.

    start.py   demo, init, fill     train.py   check, train, resume
    use.py     eval, predict, report, info     compare.py   compare, sweep
    parts.py   architectures

What was asked for goes to stdout, everything else to stderr. Exit codes: 0 done, 1 a mistake that the message tells how
to mend, 2 a command line that cannot be understood, 130 interrupted. Modules are imported inside the commands, so that
help appears at once.
"""
