"""What happened in a run, told to a person: on the terminal while it goes on, on one page afterwards.

Everything here reads the events of a run and nothing else, so a report can be written for a run that is still going
on, was interrupted, or was made on another machine.

    plain.py     reading plain data       numerals.py  writing numbers for people
    record.py    the typed view of a run         history.py   events become that view
    coverage.py  who labels what
    outcome.py   what came of each task, in numbers and in sentences
    costs.py     time and tokens per phase
    svg.py       elements and axes               traces.py    which points a line joins
    figures.py   the curves of the report        bars.py      its timeline
    report.py    the page                        console.py   the plan and the live table; pace.py the time left
    watch.py     the server of the watch page; watch_follow.py the files it follows, watch_view.py what it says of them

    >>> from motet.reporting import history
    >>> history.read([{"event": "end", "step": 10, "reason": "steps"}]).step
    10
"""
