"""The daemon: one process, one event loop, one task group that lets the flows run for months.

Words: a **worker** is a task of one flow (`pull 1`, `replay`); its **pulse** says whether it moves; a **bell** wakes a
worker and remembers for what; the **line** is whether the server can be reached; a **probe** is a small question to a
server that is away; a **term** is the time under one configuration, which ends with a stop or a reload; a **finding**
is one thing that waits for a person.

`pace`, `line` and `restarts` decide, from values and a clock that is given to them; `pulling` and `delivering` are the
workers; `app` holds the process together: locks, signals, configuration, the service manager. `beat` looks every
second and has `report` say in `status.json` how it is; `health` judges that, `http_pages` and `metrics` tell it.

It never pulls or delivers by itself: that is what the flows below it do. Waits are measured by the monotonic clock, for
the wall clock jumps; only cron expressions are read against the wall clock, by APScheduler.

Nothing is imported here, for `status` reads `status.json` and needs neither the scheduler nor the flows.
"""
