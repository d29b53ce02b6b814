"""Rules about texts of others, pure, without I/O: what they mean, and where they may stand.

`values` turns W&B's JSON texts into queryable values and back, `nonfinite` and `steps` say what numbers are spelled as,
`naming` what a person means by a name, `paths` which names may become files, `visible` what a terminal may be shown,
`amounts` counts, and how long something took, in words.
"""
