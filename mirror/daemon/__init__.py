"""The daemon: one process, one event loop, one task group that lets the flows run for months.

Words: a **job** comes again and again (`pull entity/project`, `maintain`, `probe`); its **trigger** says when; a
**worker** is a task that does jobs (`pull 1`), or one of a flow that waits for events (`replay`, `watch`, `offline`);
its **activity** says whether it moves; a **wake-up** ends its wait; the **connection** is whether the server can be
reached; a **session** is the time under one configuration, which ends with a stop or a reload; a **finding** is one
thing that waits for a person.

`scheduler` is APScheduler by the daemon's clock, `triggers` are values, `workers` is its executor. `connection` and
`restarts` decide, from values and a clock that is given to them; `pulling`, `upkeep`, `delivering` and `offline` do the
work; `session` plans it; `app` holds the process together: locks, signals, configuration, the service manager.
`heartbeat` looks every second and has `report` say in `status.json` how it is; `health` judges that, `http/pages` and
`metrics` tell it. What a command asks of it comes through a socket in the home (`requests`), and is done by the same
workers' methods; `listening` bounds and guards the connections of both.

It never pulls or delivers by itself: that is what the flows below it do. Times of jobs are of the wall clock, which
jumps; waits are by the monotonic one, and a jump changes none of them. Cron expressions alone follow the wall clock.

Nothing is imported here, for `status` reads `status.json` and needs neither the scheduler nor the flows.
"""
