"""The edge towards W&B: everything that is known about its API, and the only folder that speaks HTTP.

Words: a **deployment** is one W&B server under all its names; a **document** is a GraphQL text; a **page** is one
answer of a listing; the **contents** of a run are its files, exports, live tail, counts and artifacts; its
**streams** are history, system metrics and console lines; a **bad run** is one that the server answered in a shape
that W&B does not have; a **body** is the bytes behind a **signed url**, which expires; a **turn** is the permission to
send a request now; a **fitted** document asks only for what the server at hand **knows**; a **flaw** is a field that
the server could not serve, of a row that it did.

It owns: the documents, written for a current server (`documents`), and how they are fitted to the one at hand
(`fitting`); what is asked, one file a subject, of which `Client` is made (`questions`); how answers become values, each
field alone (`rows`); how much may be asked, and how fast (`limits`); and HTTP itself: keys, tries, bounds, one session
for questions and one transfer for bytes (`transport`).

It never: lets an exception of httpx out, shows the API key in a repr, message or log, sends the key to another host
than the configured one, decides what to pull, or writes anything to disk.
"""
