"""Many runs compared: seeds, baselines, significance.

    definition.py  a study file, read strictly              planning.py   which runs it asks for
    ledger.py      its folder, and what became of each run  queue.py      what is left to do
    processes.py   one run as one process                   sweep.py      all of them, until all are done
    choice.py      the best of a search, by validation      scoring.py    a finished run on test, once
    evidence.py    what each answer shape leaves of a row   formulas.py   how that becomes a score again
    records.py     the file of both                         results.py    runs read back
    contest.py     systems that may be compared             gains.py      how far they lie apart, tested
    comparison.py  all of it                                notes.py      what to know before believing it
    listing.py     runs, curves, rows that get lost         tables.py     the same as files

Whatever trains or scores imports torch; what compares does not.

>>> import numpy as np
>>> from motet.study.formulas import Evidence
>>> Evidence.of("mean", [[1.0], [0.0]]).scores(np.ones((1, 2)))
array([0.5])
"""
